//! The specification, one sentence each.

mod audit;
mod backfill;
mod definitions;
mod deletion;
mod doctor;
mod doctor_certificates;
mod doctor_entries;
mod doctor_rights;
mod flows;
mod hobbyfarm;
mod keep_alives;
mod manual;
mod modes;
mod no_answer;
mod odd_pairs;
mod outage;
mod people_with_kubectl;
mod policy;
mod repairs;
mod restores;
mod scope;
mod self_managed;

use futures::future::LocalBoxFuture;

use crate::control_plane::kubernetes_versions::TESTED;
use crate::world::World;

const OLDEST: &str = TESTED[0];

pub(crate) use scope::annotations;

/// One sentence and the proof of it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The oldest Kubernetes that has what it is about, such as `1.30`.
    pub(crate) since: &'static str,
    pub(crate) run: for<'a> fn(&'a World) -> LocalBoxFuture<'a, ()>,
}

macro_rules! scenarios {
    ($($module:ident :: $name:ident $(since $since:literal)?,)+) => {
        &[$(Scenario {
            name: concat!(stringify!($module), "::", stringify!($name)),
            since: [$($since,)? OLDEST][0],
            run: |world| Box::pin($module::$name(world)),
        },)+]
    };
}

/// What holds for each dialect, with and without a status subresource.
pub(crate) const IN_EACH_FORM: &[Scenario] = scenarios![
    flows::a_session_lives_from_create_to_delete,
    flows::a_first_status_without_an_end_is_given_one,
    flows::each_of_hobbyfarms_accounts_may_write,
    flows::a_session_finished_twice_is_let_pass_with_a_warning,
    flows::an_end_before_the_start_is_let_pass_with_a_warning,
    flows::a_stale_write_is_a_conflict_as_ever,
    flows::the_sample_of_the_documentation_is_accepted_where_its_types_are,
    hobbyfarm::nothing_that_it_writes_to_any_kind_of_session_is_refused,
    hobbyfarm::what_was_refused_once_is_not,
    hobbyfarm::a_patch_without_evidence_leaves_the_list_decodable,
    repairs::a_session_without_status_is_filled_in,
    repairs::a_pause_without_a_time_is_given_one,
    repairs::a_resumed_session_keeps_no_pause_time,
    repairs::a_finished_session_is_not_active,
    repairs::values_of_another_shape_are_put_right_and_the_writer_is_told,
    repairs::values_that_nobody_could_read_are_refused_and_named,
    repairs::a_patch_into_a_missing_status_is_repaired_where_it_applies_at_all,
    keep_alives::they_cost_no_call_and_every_other_write_costs_two_as_ever since "1.28",
    keep_alives::what_is_no_keep_alive_is_judged_as_ever since "1.28",
    keep_alives::an_endpoint_that_hangs_does_not_keep_them_waiting since "1.28",
    manual::nobody_else_creates,
    manual::nobody_else_edits,
    manual::nobody_else_edits_status,
    manual::a_write_that_changes_nothing_is_let_pass,
    people_with_kubectl::kubectl_shows_the_refusal_whatever_the_command,
    people_with_kubectl::kubectl_deletes,
    deletion::anybody_with_the_right_deletes,
    deletion::a_collection_is_deleted,
    deletion::a_finalizer_may_be_taken_off_a_dying_session_and_nothing_else_changed,
    deletion::a_foreground_deletion_comes_to_its_end,
    deletion::an_orphaned_session_stays_without_its_owner,
    deletion::a_session_goes_with_its_owner,
    deletion::a_namespace_goes_with_its_sessions,
    backfill::a_session_without_times_is_given_them,
    backfill::a_time_that_nobody_can_read_is_replaced_and_told_of,
    backfill::a_session_that_is_being_deleted_is_left_alone,
    backfill::a_write_that_comes_in_between_is_never_overwritten,
    restores::velero_is_refused_like_anybody_else,
    restores::as_break_glass_a_status_comes_back_where_it_is_a_subresource_and_is_made_anew_elsewhere,
    restores::as_break_glass_a_session_without_its_status_is_given_times,
    odd_pairs::audit_tells_of_them_and_mends_those_whose_end_cannot_be_used,
    odd_pairs::the_backfill_mends_those_whose_end_cannot_be_used,
    audit::each_planted_fault_is_found_and_nothing_else,
];

/// What does not depend on the form of the resource. The last one takes the webhook away.
pub(crate) const ONCE: &[Scenario] = scenarios![
    scope::applying_the_manifests_again_changes_nothing,
    scope::pods_nodes_and_leases_never_reach_the_webhook,
    scope::decisions_are_in_the_audit_log,
    modes::warn_lets_pass_and_says_what_would_be_refused,
    modes::audit_lets_pass_silently,
    modes::break_glass_lets_a_person_write_with_a_warning,
    modes::impersonation_can_be_allowed,
    self_managed::replicas_that_start_at_once_agree_and_repair_what_is_emptied,
    self_managed::killed_between_any_two_steps_of_its_start_it_works_when_it_is_back,
    self_managed::certificates_and_authorities_change_without_a_failed_call,
    backfill::a_time_that_nobody_can_read_stays_where_it_is_wanted_so,
    backfill::the_course_says_how_long_a_session_lives,
    backfill::what_hobbyfarm_writes_at_the_same_moment_stays,
    backfill::another_replica_takes_over_from_one_that_was_killed,
    definitions::where_another_version_is_served_nothing_stored_is_touched,
    definitions::a_definition_without_v1_is_no_error,
    definitions::sessions_that_belong_to_no_namespace_are_guarded_and_repaired,
    definitions::sessions_without_a_schema_are_guarded,
    audit::a_clean_cluster_is_told_to_be_clean_and_one_without_rights_is_not,
    audit::people_are_told_what_a_finding_means_and_how_to_mend_it,
    audit::times_are_mended_after_a_dry_run_by_whoever_may_write,
    audit::the_job_may_look_at_everything_and_change_nothing,
    audit::one_replica_tells_the_findings_as_metrics,
    audit::what_appears_and_what_goes_is_told_while_it_watches,
    doctor::a_sound_installation_has_nothing_to_mend,
    doctor_entries::a_configuration_that_is_missing_is_named,
    doctor_entries::an_entry_that_is_missing_is_named,
    doctor_entries::rules_without_status_are_named,
    doctor_entries::rules_without_update_are_named,
    doctor_entries::rules_that_reach_beyond_sessions_are_named,
    doctor_entries::a_selector_that_exempts_a_namespace_is_named,
    doctor_entries::a_failure_policy_that_refuses_hobbyfarm_is_named_and_fail_open_is_a_choice,
    doctor_entries::side_effects_that_there_are_not_are_told_of,
    doctor_entries::a_long_timeout_is_named,
    doctor_entries::another_version_of_reviews_is_named,
    doctor_entries::a_path_that_is_not_served_is_named,
    doctor_entries::a_service_that_is_missing_is_named,
    doctor_entries::a_service_without_the_port_is_named,
    doctor::an_installation_without_ready_replicas_is_named,
    doctor::replicas_that_do_not_answer_are_named,
    doctor_certificates::a_ca_bundle_of_another_authority_is_named,
    doctor_certificates::an_empty_ca_bundle_is_named,
    doctor_certificates::a_ca_bundle_that_is_no_certificate_is_named,
    doctor_certificates::a_certificate_for_another_name_is_named,
    doctor_certificates::an_expired_certificate_is_named,
    doctor_certificates::a_certificate_that_ends_soon_is_told_of,
    doctor_certificates::a_clock_that_is_wrong_is_named,
    doctor_certificates::a_secret_that_holds_another_certificate_is_named,
    doctor::a_missing_definition_is_named,
    doctor::another_version_that_is_served_is_told_of,
    doctor_rights::accounts_that_may_not_write_are_named,
    doctor_rights::an_account_that_may_write_status_alone_is_named,
    doctor_rights::an_account_that_does_not_exist_is_told_of,
    doctor_rights::others_who_may_write_are_told_of,
    doctor_rights::rights_that_the_webhook_lacks_are_named_and_superfluous_ones_told_of,
    doctor::a_configuration_that_the_program_refuses_is_named,
    doctor::a_mode_that_lets_pass_is_named_and_a_chosen_one_told_of,
    doctor::a_break_glass_user_is_let_pass_and_that_is_sound,
    doctor_rights::who_may_not_look_is_told_which_right_is_missing,
    doctor::pods_are_reached_through_the_api_server,
    doctor_rights::with_the_shipped_rights_a_pod_sees_everything,
    doctor::entries_may_call_by_url,
    doctor::it_waits_until_the_installation_is_sound,
    people_with_kubectl::kubectl_prints_what_strict_validation_finds_and_what_we_refuse since "1.27",
    people_with_kubectl::kubectl_diff_and_scale_say_why_they_do_not_work since "1.27",
    people_with_kubectl::kubectl_prints_the_warning_of_break_glass since "1.27",
    outage::people_stay_locked_out,
    outage::hobbyfarm_goes_on_where_the_server_knows_match_conditions,
    outage::deleting_goes_on,
    outage::what_an_outage_held_up_ends_after_it,
    outage::fail_open_lets_people_write,
    no_answer::people_are_refused since "1.28",
    no_answer::hobbyfarm_creates_writes_status_and_keeps_alive since "1.28",
    no_answer::what_is_deleted_goes_and_garbage_is_collected since "1.28",
    no_answer::a_person_who_takes_a_finalizer_off_waits since "1.28",
    no_answer::the_api_server_tells_in_its_audit_log_and_metrics since "1.28",
    policy::kubectl_says_that_an_old_server_does_not_know_it,
    policy::alone_it_decides_each_row_of_the_table since "1.30",
    policy::alone_it_warns_where_the_mode_says_so since "1.30",
    policy::alone_it_only_tells_the_audit_log_where_the_mode_says_so since "1.30",
    policy::its_status_has_no_warnings_of_types since "1.30",
    policy::beside_the_webhook_each_does_its_part since "1.30",
    policy::it_refuses_people_while_the_webhook_ignores_failures_and_no_replica_runs since "1.30",
    policy::it_survives_a_restart_of_the_api_server since "1.30",
    scope::uninstalling_lets_everybody_write_and_leaves_nothing_behind,
];
