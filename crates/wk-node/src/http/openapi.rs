//! What is added to the description that the handlers give of themselves.

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, OpenApi, RefOr, Required};

const FORM: &str = "application/x-www-form-urlencoded";

/// Describes for each path that its parameters may also come by POST as a form.
pub fn with_forms(mut description: OpenApi, paths: &[&str]) -> OpenApi {
    for path in paths {
        if let Some(item) = description.paths.paths.get_mut(*path) {
            item.post = item.get.as_ref().map(as_form);
        }
    }
    description
}

/// The operation whose parameters of the address stand in a form.
fn as_form(get: &Operation) -> Operation {
    let mut post = get.clone();
    post.operation_id = get.operation_id.as_ref().map(|id| format!("{id}_by_form"));
    let (mut kept, mut form) = (Vec::new(), ObjectBuilder::new());
    for parameter in post.parameters.take().unwrap_or_default() {
        match parameter {
            RefOr::T(field) if matches!(field.parameter_in, ParameterIn::Query) => {
                if matches!(field.required, Required::True) {
                    form = form.required(&field.name);
                }
                if let Some(schema) = field.schema {
                    form = form.property(field.name, schema);
                }
            }
            other => kept.push(other),
        }
    }
    let content = ContentBuilder::new().schema(Some(form.build())).build();
    post.request_body = Some(RefOr::T(RequestBodyBuilder::new().content(FORM, content).build()));
    post.parameters = (!kept.is_empty()).then_some(kept);
    post
}
