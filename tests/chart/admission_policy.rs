//! The policy that the chart makes is the one that the program prints for the same settings.

use rstest::rstest;
use serde_json::Value;
use session_webhook::config::PolicyArgs;
use session_webhook::core::policy_twin::admission_policy::objects;

use crate::helm::{NAMESPACE, template};
use crate::settings::as_the_program_reads_it;

#[rstest]
#[case::as_it_is(&[])]
#[case::one_account(&["--set=hobbyfarm.namespace=training,hobbyfarm.serviceAccounts={writer}"])]
#[case::long_name(&["--set=hobbyfarm.serviceAccounts={a-service-account-with-a-name-of-more-than-fifty-characters,b}"])]
#[case::break_glass(&["--set=breakGlass.users={root@example.org,jane doe}", "--set=breakGlass.groups={oidc:admins}"])]
#[case::names_that_need_escapes(&[r#"--set-json=breakGlass={"users":["o'hara","back\\slash","Zoë","雪 \"snow\"","😀","tab\there"],"groups":["a\u202eb"]}"#])]
#[case::break_glass_group(&["--set=breakGlass.groups={admins,more}"])]
#[case::warn(&["--set=mode=warn"])]
#[case::audit(&["--set=mode=audit,config.impersonation=allow"])]
#[case::own_account(&["--set=serviceAccount.name=guard"])]
#[case::housekeeper(&["--set=config.housekeeper=kube-system/collector"])]
#[case::housekeepers(&["--set=config.housekeeper={root,*/gc,kube-system/*,b/a.c,*/a.c,system:serviceaccount:a:b,*/*}"])]
fn it_is_what_the_program_prints(#[case] arguments: &[&str]) {
    let rendered = template(&[&["--set=guard=policy-and-webhook"], arguments].concat());
    let mut settings = as_the_program_reads_it::<PolicyArgs>(&rendered).settings();
    let deployment = rendered.of_kind("Deployment").next().unwrap();
    let account = deployment["spec"]["template"]["spec"]["serviceAccountName"].as_str().unwrap();
    settings.own_service_account = Some(format!("{NAMESPACE}/{account}").parse().unwrap());
    let made = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
        .map(|kind| rendered.named(kind, "hobbyfarm-session-webhook").clone());
    let printed: [Value; 2] = objects(&settings);
    assert_eq!(made, printed);
}
