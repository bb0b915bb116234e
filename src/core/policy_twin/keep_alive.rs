//! The keep-alive, as the API server tells it by itself: a CEL expression for `matchConditions`, which spares such a write
//! the call of the webhook (Kubernetes 1.28).
//!
//! A keep-alive is an `UPDATE` of the `status` of a `hobbyfarm.io/v1` Session by one of HobbyFarm's accounts that moves
//! `end_time` and nothing else. There is nothing to judge in it and nothing to repair, which the expression has to prove:
//! [`crate::core::admission::policy`] would allow every write that it spares, without an edit and without a warning.
//! So each clause stands for a rule or a repair:
//!
//! - `spec` is the same, or it could be `OwnerChanged`; `vm_claim` is a list, or the dialect could be the documented one;
//! - `status` holds the six fields of an active Session and nothing else, in both objects, with the same `start_time`: no
//!   flag to repair, no pause time to clear, no `StartMoved`, no `Resurrected`;
//! - all times are valid ones of `time.UnixDate` in UTC: nothing to rewrite, no `BadTime`. 29 February is left to the
//!   webhook, since a regular expression knows no leap years;
//! - `end_time` does not move back, or it could be `EndBeforeStart`: where the old pair was sound, so is the new one, and
//!   where it was not, nothing is said. CEL cannot read these times, but on one day they compare as texts. So the first
//!   keep-alive after midnight UTC is a call.
//!
//! Where an expression fails, an entry that ignores failures is not called, and a write that had to be judged would pass. So
//! none may fail, whatever the objects hold: each value is asked for with `has` and `type` first, and a text is measured before
//! a regular expression reads it. On all doubt the webhook is called.

use crate::core::installation::users;
use crate::core::policy_twin::cel::string_literal;
use crate::core::settings::{Dialect, Settings};

/// The name of the match condition.
pub const CONDITION: &str = "write-is-not-a-keep-alive";

/// A valid time in the layout `time.UnixDate`, in UTC: 28 characters.
const UNIX_DATE: &str = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ((Jan|Mar|May|Jul|Aug|Oct|Dec) ( [1-9]|[12]\d|3[01])|(Apr|Jun|Sep|Nov) ( [1-9]|[12]\d|30)|Feb ( [1-9]|1\d|2[0-8])) ([01]\d|2[0-3])(:[0-5]\d){2} UTC 20\d\d";

/// The expression that is true unless the request is a keep-alive by one of these users.
pub fn expression(users: &[String]) -> String {
    let users: Vec<_> = users.iter().map(|user| string_literal(user)).collect();
    let users = users.join(",\n");
    format!(
        "\
!(request.operation == 'UPDATE' && has(request.subResource) && request.subResource == 'status' &&
request.kind.version == 'v1' &&
has(request.userInfo.uid) && request.userInfo.username in [
{users}] &&
[object, oldObject].all(o, has(o.spec) && has(o.status) && type(o.status) == map &&
has(o.status.end_time) && has(o.status.start_time) &&
o.status == {{'end_time': o.status.end_time, 'start_time': object.status.start_time,
'active': dyn(true), 'paused': dyn(false), 'finished': dyn(false), 'paused_time': dyn('')}}) &&
object.spec == oldObject.spec && type(object.spec) == map &&
has(object.spec.vm_claim) && type(object.spec.vm_claim) == list &&
[[object.status.start_time, oldObject.status.end_time, object.status.end_time]].all(times,
times.all(t, type(t) == string && size(t) == 28) && (times[0] + times[1] + times[2]).matches(
r'^({UNIX_DATE}){{3}}$') &&
times[1] <= times[2] && times[2].startsWith(times[1].substring(0, 11)) && times[2].endsWith(times[1].substring(20))))"
    )
}

/// The expression for these settings; none where accounts are given by patterns, which a list of names cannot hold, or
/// where the dialect is the documented one, which this is not about.
pub fn expression_of(settings: &Settings) -> Option<String> {
    let users = users(&settings.service_accounts)?;
    (settings.dialect != Some(Dialect::Documented)).then(|| expression(&users))
}
