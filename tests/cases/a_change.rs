//! What is a change, and what is none.

use rstest::rstest;

use super::{Answer, path, review};

/// What is given in the file.
const NUMBER: &str = "1.7976931348623157e308";

/// The answer to an update of a member by alice, from `old` to `new`, both JSON.
fn update(new: &str, old: &str) -> Answer {
    let text = std::fs::read_to_string(path("num.json")).unwrap();
    let parts: Vec<_> = text.split(NUMBER).collect();
    let [before, between, after] = parts[..] else { panic!("{text}") };
    review(&[], format!("{before}{new}{between}{old}{after}"))
}

#[rstest]
#[case::as_it_is("1.7976931348623157e308", "1.7976931348623158e308")]
#[case::a_long_fraction("0.1", "0.10000000000000000555")]
#[case::a_large_integer("9007199254740993.0", "9007199254740992.0")]
#[case::beyond_a_double("1e400", "2e400")]
fn of_a_number_is_one_however_it_rounds(#[case] new: &str, #[case] old: &str) {
    let answer = update(new, old);
    assert_eq!(answer.response["auditAnnotations"]["rule"], "ManualEdit", "{}", answer.told);
}

#[rstest]
#[case::a_letter("\"a\"", "\"A\"")]
#[case::a_blank("\"a \"", "\"a\"")]
#[case::a_character_that_looks_alike("\"\\u0430\"", "\"a\"")]
#[case::a_composed_character("\"\\u00e9\"", "\"e\\u0301\"")]
#[case::a_type("1", "\"1\"")]
#[case::an_order("[1,2]", "[2,1]")]
#[case::one_more("[1,1]", "[1]")]
#[case::nothing_and_an_empty_text("null", "\"\"")]
#[case::deep_inside("{\"a\":{\"b\":[{\"c\":1}]}}", "{\"a\":{\"b\":[{\"c\":2}]}}")]
fn that_hardly_shows_is_one(#[case] new: &str, #[case] old: &str) {
    let answer = update(new, old);
    assert_eq!(answer.response["auditAnnotations"]["rule"], "ManualEdit", "{}", answer.told);
}

#[rstest]
#[case::as_it_is(NUMBER, NUMBER)]
#[case::the_order_of_members("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}")]
#[case::blanks("[ 1 ,\t2 ]", "[1,2]")]
#[case::an_escaped_letter("\"\\u0061\"", "\"a\"")]
#[case::a_surrogate_pair("\"\\ud83d\\ude00\"", "\"😀\"")]
#[case::a_member_given_twice("{\"a\":2,\"a\":1}", "{\"a\":1}")]
fn that_is_none_is_allowed(#[case] new: &str, #[case] old: &str) {
    let answer = update(new, old);
    assert_eq!(answer.response["auditAnnotations"]["rule"], "NoChange", "{}", answer.told);
}
