//! Who asks: a user name, taken apart exactly.

/// What a user name says about its owner. Groups prove nothing and are not looked at here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requester<'a> {
    /// `system:serviceaccount:<namespace>:<name>`, and nothing before, between or behind.
    ServiceAccount {
        /// Namespace of the account.
        namespace: &'a str,
        /// Name of the account.
        name: &'a str,
    },
    /// Any other name.
    User(&'a str),
    /// No name, or the API server's name for nobody.
    Anonymous,
}

impl<'a> Requester<'a> {
    /// Takes a user name apart. A service account's name has exactly four parts, none of them empty.
    pub fn parse(username: &'a str) -> Self {
        if matches!(username, "" | "system:anonymous") {
            return Self::Anonymous;
        }
        let account = username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        match account {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains(':') => {
                Self::ServiceAccount { namespace, name }
            }
            _ => Self::User(username),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Requester;

    #[test]
    fn a_service_account_is_taken_apart() {
        assert_eq!(
            Requester::parse("system:serviceaccount:hobbyfarm-system:hobbyfarm-session"),
            Requester::ServiceAccount { namespace: "hobbyfarm-system", name: "hobbyfarm-session" }
        );
    }

    #[rstest]
    #[case::extra_part("system:serviceaccount:hobbyfarm-system:x:y")]
    #[case::missing_name("system:serviceaccount:hobbyfarm-system")]
    #[case::empty_name("system:serviceaccount:hobbyfarm-system:")]
    #[case::empty_namespace("system:serviceaccount::hobbyfarm-session")]
    #[case::something_before("x:system:serviceaccount:hobbyfarm-system:hobbyfarm-session")]
    #[case::space_before(" system:serviceaccount:hobbyfarm-system:hobbyfarm-session")]
    #[case::other_case("system:ServiceAccount:hobbyfarm-system:hobbyfarm-session")]
    fn anything_else_is_a_user(#[case] username: &str) {
        assert_eq!(Requester::parse(username), Requester::User(username));
    }

    #[rstest]
    #[case("")]
    #[case("system:anonymous")]
    fn nobody_is_anonymous(#[case] username: &str) {
        assert_eq!(Requester::parse(username), Requester::Anonymous);
    }
}
