//! Devices that answer JSON over HTTP.

use reqwest::{Client, StatusCode, Url};
use serde_json::{Value as Json, json};

use super::profile::{Login, Profile};
use super::{Answer, LinkError, LinkSettings};
use crate::scrape::client_with;

/// How many bytes an answer has at most.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a request may take.
const ANSWER_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

/// A device and the token that it gave.
pub struct Device {
    client: Client,
    base: String,
    user: Option<String>,
    password_file: Option<std::path::PathBuf>,
    token: Option<String>,
}

/// Why a request gave nothing.
enum Failed {
    /// The device wants a token, or another one.
    Denied,
    Other(String),
}

impl Device {
    /// Makes the client.
    ///
    /// # Errors
    /// No HTTP client.
    pub fn new(settings: &LinkSettings) -> Result<Self, LinkError> {
        let insecure = settings.insecure_tls;
        let client =
            client_with(|builder| builder.tls_danger_accept_invalid_certs(insecure)).map_err(LinkError::Client)?;
        Ok(Self {
            client,
            base: settings.address.trim_end_matches('/').to_owned(),
            user: settings.user.clone(),
            password_file: settings.password_file.clone(),
            token: None,
        })
    }

    /// Sends every request of a profile; an answer that a sign-in is needed for is asked for once more.
    ///
    /// # Errors
    /// What went wrong, without secrets.
    pub async fn ask(&mut self, profile: &Profile) -> Result<Answer, String> {
        let mut answer = Answer::default();
        for request in &profile.requests {
            let (json, bytes) = self.fetch(&request.path, profile.login.as_ref()).await?;
            let (values, bad) = request.read(&json);
            answer.bytes += bytes;
            answer.values.extend(values);
            answer.bad.extend(bad);
        }
        Ok(answer)
    }

    async fn fetch(&mut self, path: &str, login: Option<&Login>) -> Result<(Json, usize), String> {
        if let Some(login) = login
            && self.token.is_none()
        {
            self.token = Some(self.sign_in(login).await?);
        }
        match self.get(path, login).await {
            Ok(answer) => Ok(answer),
            Err(Failed::Other(what)) => Err(what),
            Err(Failed::Denied) => {
                let Some(login) = login else {
                    return Err(format!("{path}: the device wants a sign-in that the profile has not"));
                };
                self.token = Some(self.sign_in(login).await?);
                self.get(path, Some(login)).await.map_err(|failed| match failed {
                    Failed::Other(what) => what,
                    Failed::Denied => format!("{path}: the device refuses what link.user may read"),
                })
            }
        }
    }

    async fn get(&self, path: &str, login: Option<&Login>) -> Result<(Json, usize), Failed> {
        let mut url = Url::parse(&format!("{}{path}", self.base)).map_err(|error| Failed::Other(error.to_string()))?;
        if let (Some(login), Some(token)) = (login, &self.token) {
            url.query_pairs_mut().append_pair(&login.parameter, token);
        }
        let (status, json, bytes) = self.send(self.client.get(url), path).await.map_err(Failed::Other)?;
        // A device may answer 200 and say in its own words that it refused.
        let refused = json["stat"] == "fail";
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failed::Denied),
            _ if refused && json["code"] == 401 => Err(Failed::Denied),
            _ if refused => Err(Failed::Other(format!("{path}: the device said {}", json["message"]))),
            status if !status.is_success() => Err(Failed::Other(format!("{path}: the device answered {status}"))),
            _ => Ok((json, bytes)),
        }
    }

    async fn sign_in(&self, login: &Login) -> Result<String, String> {
        let Some(user) = &self.user else {
            return Err("the device wants a sign-in; set link.user and link.password_file".to_owned());
        };
        let Some(file) = &self.password_file else {
            return Err("the device wants a sign-in; set link.password_file".to_owned());
        };
        let password = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let body = json!({&login.user_key: user, &login.password_key: password.trim_end_matches(['\r', '\n'])});
        let request = self.client.post(format!("{}{}", self.base, login.path)).json(&body);
        let (status, json, _) = self.send(request, &login.path).await?;
        match json.pointer(&login.token).and_then(Json::as_str) {
            Some(token) if status.is_success() => Ok(token.to_owned()),
            _ => Err(format!("{}: the device refused the sign-in of {user}", login.path)),
        }
    }

    /// The answer to a request; errors name the path, never the address with its token.
    async fn send(&self, request: reqwest::RequestBuilder, path: &str) -> Result<(StatusCode, Json, usize), String> {
        let told = |error: reqwest::Error| format!("{path}: {}", error.without_url());
        let mut response = request.timeout(ANSWER_WITHIN).send().await.map_err(told)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(format!("{path}: the answer is larger than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        let json = if body.is_empty() { Json::Null } else { serde_json::from_slice(&body).unwrap_or(Json::Null) };
        if json.is_null() && status.is_success() {
            return Err(format!("{path}: the answer is no JSON"));
        }
        Ok((status, json, body.len()))
    }
}
