package main

import (
	"context"

	registration "k8s.io/api/admissionregistration/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	limits "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// oldest is the version whose CEL the expressions may use: the first in which ValidatingAdmissionPolicy is stable.
var oldest = version.MajorMinor(1, 30)

// mode is that of an object which is being created. An API server is more lenient with those that are stored already.
const mode = environment.NewExpressions

// policy is a ValidatingAdmissionPolicy without parameters.
type policy struct {
	rules       []registration.RuleWithOperations
	validator   validating.Validator
	validations cel.ConditionEvaluator
	messages    cel.ConditionEvaluator
	annotations cel.ConditionEvaluator
	// variables are there to be evaluated on their own, needed or not.
	variables cel.ConditionEvaluator
}

// policyAnswer is what a policy does with a request.
type policyAnswer struct {
	// Selected is what the rules say.
	Selected bool `json:"selected"`
	// Denied are the refusals, in order.
	Denied      []denial          `json:"denied"`
	Annotations map[string]string `json:"annotations"`
	// Errors are those of the expressions that are evaluated. Each refuses the request.
	Errors []string `json:"errors"`
	// VariableErrors are those of all variables, needed or not.
	VariableErrors []string `json:"variableErrors"`
	Cost           cost     `json:"cost"`
}

type denial struct {
	Reason  meta.StatusReason `json:"reason"`
	Message string            `json:"message"`
}

// cost is counted against limits.RuntimeCELCostBudget twice: for validations and messages together, and for annotations.
type cost struct {
	Validations int64 `json:"validations"`
	Messages    int64 `json:"messages"`
	Annotations int64 `json:"annotations"`
	// Variables is that of each variable, evaluated whether needed or not.
	Variables int64 `json:"variables"`
}

// compilePolicy does what the function of that name in k8s.io/apiserver/pkg/admission/plugin/policy/validating does, which is
// private and takes the newest CEL that the server has.
func compilePolicy(object *registration.ValidatingAdmissionPolicy, schemas schemas) (*policy, compiled, error) {
	result := compiled{Errors: []string{}, Warnings: []string{}}
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(oldest))
	if err != nil {
		return nil, result, err
	}
	optional := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	spec := &object.Spec
	var variables []cel.ExpressionAccessor
	for _, variable := range spec.Variables {
		stored := compiler.CompileAndStoreVariable(&validating.Variable{Name: variable.Name, Expression: variable.Expression}, optional, mode)
		if stored.Error != nil {
			result.Errors = append(result.Errors, variable.Name+": "+stored.Error.Error())
		}
		variables = append(variables, &validating.Variable{Name: variable.Name, Expression: "variables." + variable.Name})
	}
	validations, messages := []cel.ExpressionAccessor{}, make([]cel.ExpressionAccessor, len(spec.Validations))
	for i, validation := range spec.Validations {
		validations = append(validations, &validating.ValidationCondition{
			Expression: validation.Expression, Message: validation.Message, Reason: validation.Reason,
		})
		if validation.MessageExpression != "" {
			messages[i] = &validating.MessageExpressionCondition{MessageExpression: validation.MessageExpression}
		}
	}
	var annotations []cel.ExpressionAccessor
	for _, annotation := range spec.AuditAnnotations {
		annotations = append(annotations, &validating.AuditAnnotationCondition{
			Key: annotation.Key, ValueExpression: annotation.ValueExpression,
		})
	}
	compiled := policy{
		validations: compiler.CompileCondition(validations, optional, mode),
		messages:    compiler.CompileCondition(messages, cel.OptionalVariableDeclarations{}, mode),
		annotations: compiler.CompileCondition(annotations, optional, mode),
		variables:   compiler.CompileCondition(variables, optional, mode),
	}
	result.add("validations", compiled.validations)
	result.add("messageExpressions", compiled.messages)
	result.add("auditAnnotations", compiled.annotations)
	for _, rule := range spec.MatchConstraints.ResourceRules {
		compiled.rules = append(compiled.rules, rule.RuleWithOperations)
	}
	compiled.validator = validating.NewValidator(compiled.validations, nil, compiled.annotations, compiled.messages, spec.FailurePolicy, nil)
	result.Warnings = append(result.Warnings, schemas.check(object)...)
	return &compiled, result, nil
}

func (p *policy) answer(ctx context.Context, attributes *admission.VersionedAttributes) *policyAnswer {
	answer := policyAnswer{
		Selected: selected(p.rules, attributes), Denied: []denial{}, Annotations: map[string]string{},
		Errors: []string{}, VariableErrors: []string{},
	}
	resource := schema.GroupVersionResource(attributes.GetResource())
	verdict := p.validator.Validate(ctx, resource, attributes, nil, nil, limits.RuntimeCELCostBudget, nil)
	for _, decision := range verdict.Decisions {
		switch {
		case decision.Evaluation == validating.EvalError:
			answer.Errors = append(answer.Errors, decision.Message)
		case decision.Action == validating.ActionDeny:
			answer.Denied = append(answer.Denied, denial{decision.Reason, decision.Message})
		}
	}
	for _, annotation := range verdict.AuditAnnotations {
		switch annotation.Action {
		case validating.AuditAnnotationActionError:
			answer.Errors = append(answer.Errors, annotation.Key+": "+annotation.Error)
		case validating.AuditAnnotationActionPublish:
			answer.Annotations[annotation.Key] = annotation.Value
		}
	}
	// The validator keeps costs to itself, and the errors of messages too.
	measure := func(expressions cel.ConditionEvaluator, errors *[]string) int64 {
		results, left, err := evaluate(ctx, expressions, attributes, limits.RuntimeCELCostBudget)
		*errors = append(*errors, failures(results, err)...)
		return limits.RuntimeCELCostBudget - left
	}
	answer.Cost = cost{
		Validations: measure(p.validations, &answer.Errors),
		Messages:    measure(p.messages, &answer.Errors),
		Annotations: measure(p.annotations, &answer.Errors),
		Variables:   measure(p.variables, &answer.VariableErrors),
	}
	return &answer
}
