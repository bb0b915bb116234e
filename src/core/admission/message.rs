//! What clients are told. Every text is one line, has no `%`, and quotes what came from the request.

use std::fmt::Write;

use crate::core::admission::decision::Cause;
use crate::core::admission::review::Review;
use crate::core::admission::rule::Rule;
use crate::core::settings::Settings;
use crate::core::text::quote;

/// No message reaches so many characters.
const MAX_MESSAGE_LENGTH: usize = 500;
/// How much of a user's name is repeated, so that none does.
pub(in crate::core) const MAX_USER_LENGTH: usize = 90;
/// Room for the number of causes that are not named.
const MAX_AND_MORE_LENGTH: usize = 16;

/// What somebody who may not write can do.
const ADVICE: &str =
    "To end a session delete it, for all else use HobbyFarm's UI, or ask an administrator for break-glass access";

/// The parts of refusals that are the same for every writer and object.
#[derive(Debug, Clone)]
pub(in crate::core) struct DenialReasons {
    impersonation: String,
    manual: String,
}

impl DenialReasons {
    /// Those under these settings.
    pub(in crate::core) fn new(settings: &Settings) -> Self {
        let impersonation = "a HobbyFarm user name without a uid is somebody impersonating it (kubectl --as)";
        let manual = format!("only HobbyFarm writes Sessions{}", accounts(settings));
        Self { impersonation: format!("{impersonation}. {ADVICE}"), manual: format!("{manual}. {ADVICE}") }
    }

    /// Why the rule refuses, and what to do instead.
    pub(in crate::core) fn of(&self, rule: Rule) -> &str {
        if rule == Rule::Impersonation { &self.impersonation } else { &self.manual }
    }
}

/// Why the writer is refused.
pub(in crate::core) fn writer_denied(review: &Review<'_>, rule: Rule, reasons: &DenialReasons) -> String {
    let user = quote(&review.user_info.username, MAX_USER_LENGTH);
    let what = match (rule, review.operation_name(), review.is_status()) {
        (Rule::ManualCreate, ..) | (_, "CREATE", _) => "create Session",
        (_, _, true) => "edit the status of Session",
        _ => "edit Session",
    };
    let (object, reason) = (review.object_name(), reasons.of(rule));
    let mut message = String::with_capacity(MAX_MESSAGE_LENGTH);
    // A String takes whatever is written to it.
    let _ = write!(message, "{rule}: user {user} may not {what} {object}: {reason}");
    message
}

/// The first account that may write, so that a forgotten `--service-account` is easy to see.
fn accounts(settings: &Settings) -> String {
    match settings.service_accounts.as_slice() {
        [] => String::new(),
        [only] => format!(" (service account {})", quote(&only.to_string(), 50)),
        [first, others @ ..] => {
            format!(" (service account {} and {} more)", quote(&first.to_string(), 50), others.len())
        }
    }
}

/// The line above the causes: as many of them as there is room for, further ones by their fields or their number. The causes
/// themselves are complete.
pub(in crate::core) fn object_invalid(review: &Review<'_>, causes: &[Cause]) -> String {
    let mut message = format!("Session {} is invalid: ", review.object_name());
    let mut room = MAX_MESSAGE_LENGTH - message.chars().count() - MAX_AND_MORE_LENGTH;
    for (index, cause) in causes.iter().enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        let whole = format!("{separator}{cause}");
        let field = format!("{separator}{}", cause.field);
        let fits = |text: &String| text.chars().count() < room;
        let Some(text) = [whole, field].into_iter().find(fits) else {
            // A String takes whatever is written to it.
            let _ = write!(message, "{separator}and {} more", causes.len() - index);
            break;
        };
        room -= text.chars().count();
        message.push_str(&text);
    }
    message
}

/// What a break-glass writer is told.
pub(in crate::core) fn break_glass_warning(review: &Review<'_>) -> String {
    let user = quote(&review.user_info.username, MAX_USER_LENGTH);
    format!("break-glass: user {user} writes a Session that HobbyFarm manages; this is on record")
}
