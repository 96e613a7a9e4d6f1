//! Cases of our own, which always run.

use crate::script::{self, Names};

fn check(script: &str) {
    for names in [Names::AtOnce, Names::Delayed] {
        let outcome = script::run(script, names);
        assert!(outcome.failed.is_empty(), "{names:?}: {:#?}", outcome.failed);
        assert!(outcome.passed > 0, "no case ran");
    }
}

#[test]
fn samples_count_for_five_minutes_and_ranges_leave_their_left_border_out() {
    check(
        "load 1m
           x 1 2 stale _ 5

         eval instant at 1m x
           x 2

         eval instant at 2m x

         eval instant at 4m59s x
           x 5

         eval instant at 8m59s x
           x 5

         eval instant at 9m x

         eval instant at 1m count_over_time(x[1m])
           {} 1

         eval instant at 4m x[4m]
           expect range vector from 1m to 4m step 1m
           x 2 _ _ 5
",
    );
}

#[test]
fn offset_and_at_move_what_is_read() {
    check(
        "load 1m
           x 0+1x20

         eval range from 5m to 7m step 1m x offset 2m
           x 3 4 5

         eval range from 5m to 7m step 1m x offset -2m
           x 7 8 9

         eval range from 5m to 7m step 1m x @ 60
           x 1 1 1

         eval range from 5m to 7m step 1m x @ start() + x @ end()
           {} 12 12 12

         eval range from 5m to 7m step 1m sum_over_time(x[2m] @ 4m offset 1m)
           {} 5 5 5
",
    );
}

#[test]
fn subqueries_lie_on_multiples_of_their_step() {
    check(
        "load 10s
           x 0+1x100

         eval instant at 65s sum_over_time(x[30s:10s])
           {} 15

         eval range from 1m to 3m step 1m max_over_time(rate(x[20s])[1m:20s])
           {} 0.1 0.1 0.1

         eval instant at 10m count_over_time(x[5m:])
           {} 5
",
    );
}

#[test]
fn aggregations_group_by_and_without() {
    check(
        r#"load 1m
           x{host="a", disk="1"} 1 2
           x{host="a", disk="2"} 3 4
           x{host="b", disk="1"} 5 _

         eval range from 0 to 1m step 1m sum by (host) (x)
           {host="a"} 4 6
           {host="b"} 5 5

         eval instant at 0 avg without (disk) (x)
           {host="a"} 2
           {host="b"} 5

         eval instant at 0 count(x)
           {} 3

         eval instant at 0 max by (nothing) (x)
           {} 5

         eval instant at 0 topk by (host) (1, x)
           x{host="a", disk="2"} 3
           x{host="b", disk="1"} 5

         eval instant at 0 bottomk(2, x)
           expect ordered
           x{host="a", disk="1"} 1
           x{host="a", disk="2"} 3

         eval instant at 0 topk(NaN, x)
           expect fail

         eval instant at 0 quantile(0.5, x)
           {} 3

         eval instant at 0 stddev by (host) (x)
           {host="a"} 1
           {host="b"} 0

         eval instant at 0 count_values by (host) ("v", x > 2)
           {host="a", v="3"} 1
           {host="b", v="5"} 1

         eval instant at 0 group(x)
           {} 1
"#,
    );
}

#[test]
fn operators_match_one_to_one_and_many_to_one() {
    check(
        r#"load 1m
           used{host="a", disk="1"} 10
           used{host="a", disk="2"} 20
           size{host="a", disk="1"} 100
           size{host="a", disk="2"} 100
           role{host="a", role="bridge"} 1

         eval instant at 0 used / size
           {host="a", disk="1"} 0.1
           {host="a", disk="2"} 0.2

         eval instant at 0 used * on (host) group_left (role) role
           {host="a", disk="1", role="bridge"} 10
           {host="a", disk="2", role="bridge"} 20

         eval instant at 0 role * on (host) group_right (role) used
           {host="a", disk="1", role="bridge"} 10
           {host="a", disk="2", role="bridge"} 20

         eval instant at 0 used * on (host) role
           expect fail

         eval instant at 0 role * on (host) used
           expect fail

         eval instant at 0 used > 15
           used{host="a", disk="2"} 20

         eval instant at 0 15 < used
           used{host="a", disk="2"} 20

         eval instant at 0 used > bool 15
           {host="a", disk="1"} 0
           {host="a", disk="2"} 1

         eval instant at 0 used unless on (disk) size{disk="1"}
           used{host="a", disk="2"} 20

         eval instant at 0 used and on (disk) size{disk="1"}
           used{host="a", disk="1"} 10

         eval instant at 0 -used{disk="1"} or role
           {host="a", disk="1"} -10
           role{host="a", role="bridge"} 1

         eval instant at 0 2 ^ 3 ^ 2 % 5 - -1
           3
"#,
    );
}

#[test]
fn or_decides_at_each_step() {
    check(
        r#"load 5m
           a{x="1"} 1 _ 3
           b{x="1"} 10 20 30

         eval range from 0 to 10m step 5m a or b
           a{x="1"} 1 _ 3
           b{x="1"} _ 20 _
"#,
    );
}

#[test]
fn absence_is_a_series_of_what_is_sure() {
    check(
        r#"load 1m
           here 1

         eval instant at 0 absent(here)

         eval instant at 0 absent(gone{job="a", host=~"b.*"})
           {job="a"} 1

         eval instant at 0 absent_over_time(gone{job="a"}[5m])
           {job="a"} 1

         eval instant at 0 absent(sum(gone{job="a"}))
           {} 1
"#,
    );
}

#[test]
fn labels_are_replaced_and_joined() {
    check(
        r#"load 1m
           x{path="/var/log", host="a"} 1
           x{path="/home", host="a"} 2

         eval instant at 0 label_replace(x, "top", "$1", "path", "/([a-z]+).*")
           x{path="/var/log", host="a", top="var"} 1
           x{path="/home", host="a", top="home"} 2

         eval instant at 0 label_replace(x, "path", "", "path", ".*")
           expect fail

         eval instant at 0 label_join(x, "both", ":", "host", "path")
           x{path="/var/log", host="a", both="a:/var/log"} 1
           x{path="/home", host="a", both="a:/home"} 2
"#,
    );
}

#[test]
fn sorting_and_scalars_work_on_one_step() {
    check(
        r#"load 1m
           x{n="1"} 3
           x{n="2"} NaN
           x{n="3"} 1

         eval instant at 0 sort(x)
           expect ordered
           x{n="3"} 1
           x{n="1"} 3
           x{n="2"} NaN

         eval instant at 0 sort_desc(x)
           expect ordered
           x{n="1"} 3
           x{n="3"} 1
           x{n="2"} NaN

         eval instant at 0 scalar(x{n="1"}) + time()
           3

         eval instant at 0 scalar(x)
           NaN

         eval instant at 10s timestamp(x{n="1"}) + 1
           {n="1"} 1

         eval instant at 3m vector(time()) == 180
           {} 180
"#,
    );
}

#[test]
fn histograms_answer_quantiles_at_each_step() {
    check(
        r#"load 1m
           latency_bucket{le="0.1"} 1 2
           latency_bucket{le="1"} 1 2
           latency_bucket{le="+Inf"} 2 4

         eval range from 0 to 1m step 1m histogram_quantile(0.5, latency_bucket)
           {} 0.1 0.1
"#,
    );
}

#[test]
fn limits_take_as_many_as_asked_for() {
    check(
        r#"load 5m
           x{host="a", disk="1"} 0+1x10
           x{host="a", disk="2"} 0+2x10
           x{host="b", disk="1"} 0+3x10
           x{host="b", disk="2"} 0+4x10
           n 1 2 3 4 5

         eval instant at 50m count(limitk by (host) (1, x) and x)
           {} 2

         eval instant at 50m count(limitk(100, x) and x)
           {} 4

         eval instant at 50m limitk(0, x)

         eval range from 0 to 20m step 5m count(limitk(scalar(n), x))
           {} 1 2 3 4 4

         eval instant at 50m count(limit_ratio(0.3, x) or limit_ratio(-0.7, x))
           {} 4

         eval instant at 50m limit_ratio(0.3, x) and limit_ratio(-0.7, x)

         eval instant at 50m count(limit_ratio(2, x))
           expect warn msg: PromQL warning: ratio value should be between -1 and 1, got 2, capping to 1 (1:19)
           {} 4

         eval instant at 50m limit_ratio(NaN, x)
           expect fail msg: Ratio value is NaN
"#,
    );
}

#[test]
fn start_times_are_told_where_the_source_keeps_them() {
    check(
        "load 10s
           x@st _ -5s -15s 0
           x 1 2 3 4

         eval range from 0 to 30s step 10s start_timestamp(x)
           {} 0 5 5 30

         eval instant at 30s start_timestamp(x + 0)
",
    );
    check(
        "load 10s
           x 1 2

         eval instant at 10s start_timestamp(x)
",
    );
}

#[test]
fn notes_are_said_once_and_bounded() {
    check(
        r#"load 1m
           x{host="a"} 1 2 3
           x{host="b"} 1 2 3

         eval instant at 2m sum(rate(x[2m1ms])) + sum(rate(x[2m1ms]))
           expect info msg: PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x" (1:10)
           expect info msg: PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x" (1:32)
           {} 0.06666666666666667

         eval instant at 2m quantile(2, x)
           expect warn msg: PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)
           {} +Inf
"#,
    );
}

#[test]
fn a_match_that_a_comparison_filters_is_a_match_all_the_same() {
    check(
        r#"load 1m
           many{host="a", disk="1"} 1
           many{host="a", disk="2"} 5
           one{host="a"} 3

         eval instant at 0 many > on (host) one
           expect fail

         eval instant at 0 many > on (host) group_left one
           many{host="a", disk="2"} 5
"#,
    );
}
