package main

import (
	"encoding/json"
	"errors"

	v1 "k8s.io/api/admission/v1"
	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	numbers "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	"k8s.io/apiserver/pkg/authentication/user"
)

// attributes is a request as an API server has it before it makes an AdmissionReview of it.
func attributes(line []byte) (*admission.VersionedAttributes, error) {
	var review v1.AdmissionReview
	if err := json.Unmarshal(line, &review); err != nil {
		return nil, err
	}
	request := review.Request
	if request == nil {
		return nil, errors.New("a review without a request")
	}
	newObject, err := object(request.Object.Raw)
	if err != nil {
		return nil, err
	}
	old, err := object(request.OldObject.Raw)
	if err != nil {
		return nil, err
	}
	writer := user.DefaultInfo{
		Name:   request.UserInfo.Username,
		UID:    request.UserInfo.UID,
		Groups: request.UserInfo.Groups,
		Extra:  map[string][]string{},
	}
	for key, values := range request.UserInfo.Extra {
		writer.Extra[key] = values
	}
	kind := schema.GroupVersionKind(request.Kind)
	record := admission.NewAttributesRecord(newObject, old, kind, request.Namespace, request.Name,
		schema.GroupVersionResource(request.Resource), request.SubResource, admission.Operation(request.Operation), nil,
		request.DryRun != nil && *request.DryRun, &writer)
	versioned := admission.VersionedAttributes{
		Attributes:         record,
		VersionedObject:    admission.NewLazyObject(newObject),
		VersionedOldObject: admission.NewLazyObject(old),
		VersionedKind:      kind,
	}
	return &versioned, nil
}

// object is nil where there is none, for an API server tells that apart from an empty one.
func object(raw []byte) (runtime.Object, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	fields := map[string]any{}
	// as for a custom resource: whole numbers stay whole
	if err := numbers.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: fields}, nil
}

// selected tells whether one of the rules is about a request.
func selected(all []registration.RuleWithOperations, attributes admission.Attributes) bool {
	for _, rule := range all {
		matcher := rules.Matcher{Rule: rule, Attr: attributes}
		if matcher.Matches() {
			return true
		}
	}
	return false
}
