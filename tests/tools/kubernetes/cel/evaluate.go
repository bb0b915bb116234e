package main

import (
	"context"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
)

// add takes over the errors of compiled expressions.
func (c *compiled) add(of string, expressions cel.ConditionEvaluator) {
	for _, err := range expressions.CompilationErrors() {
		c.Errors = append(c.Errors, of+": "+err.Error())
	}
}

// evaluate does it without the callers that hide what is left of the budget.
func evaluate(
	ctx context.Context, expressions cel.ConditionEvaluator, attributes *admission.VersionedAttributes, budget int64,
) ([]cel.EvaluationResult, int64, error) {
	resource := meta.GroupVersionResource(attributes.GetResource())
	request := cel.CreateAdmissionRequest(attributes.Attributes, resource, meta.GroupVersionKind(attributes.VersionedKind))
	return expressions.ForInput(ctx, attributes, request, cel.OptionalVariableBindings{}, nil, budget)
}

// failures are the errors of an evaluation.
func failures(results []cel.EvaluationResult, err error) []string {
	var all []string
	if err != nil {
		all = append(all, err.Error())
	}
	for _, result := range results {
		if result.Error != nil {
			all = append(all, result.Error.Error())
		}
	}
	return all
}
