package main

import (
	"context"

	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	limits "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// hook is an entry of a webhook configuration.
type hook struct {
	name       string
	rules      []registration.RuleWithOperations
	conditions cel.ConditionEvaluator
	matcher    matchconditions.Matcher
}

// hookAnswer tells whether an entry is called.
type hookAnswer struct {
	Name string `json:"name"`
	// Selected is what the rules say.
	Selected bool `json:"selected"`
	// Matches is what the match conditions say.
	Matches bool `json:"matches"`
	// Errors are those of the conditions, and of the whole.
	Errors []string `json:"errors"`
	// Cost is that of all conditions.
	Cost int64 `json:"cost"`
}

// compileHooks compiles the match conditions of each entry, as k8s.io/apiserver/pkg/admission/plugin/webhook does.
func compileHooks(configuration *registration.ValidatingWebhookConfiguration) ([]hook, compiled) {
	result := compiled{Errors: []string{}, Warnings: []string{}}
	compiler := cel.NewConditionCompiler(environment.MustBaseEnvSet(oldest))
	var hooks []hook
	for _, entry := range configuration.Webhooks {
		var expressions []cel.ExpressionAccessor
		for _, condition := range entry.MatchConditions {
			condition := matchconditions.MatchCondition(condition)
			expressions = append(expressions, &condition)
		}
		conditions := compiler.CompileCondition(expressions, cel.OptionalVariableDeclarations{HasAuthorizer: true}, mode)
		result.add(entry.Name, conditions)
		matcher := matchconditions.NewMatcher(conditions, entry.FailurePolicy, "webhook", "validating", entry.Name)
		hooks = append(hooks, hook{entry.Name, entry.Rules, conditions, matcher})
	}
	return hooks, result
}

func (h *hook) answer(ctx context.Context, attributes *admission.VersionedAttributes) hookAnswer {
	answer := hookAnswer{Name: h.name, Selected: selected(h.rules, attributes), Errors: []string{}}
	match := h.matcher.Match(ctx, attributes, nil, nil)
	answer.Matches = match.Matches
	if match.Error != nil {
		answer.Errors = append(answer.Errors, match.Error.Error())
	}
	// The matcher keeps the cost to itself, and the errors too where the failure policy ignores them.
	results, left, err := evaluate(ctx, h.conditions, attributes, limits.RuntimeCELCostBudgetMatchConditions)
	answer.Errors = append(answer.Errors, failures(results, err)...)
	answer.Cost = limits.RuntimeCELCostBudgetMatchConditions - left
	return answer
}
