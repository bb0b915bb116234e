package main

import (
	"encoding/json"
	"fmt"

	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// schemas are those of custom resources, by kind.
type schemas map[schema.GroupVersionKind]crd

type crd struct {
	resource schema.GroupVersionResource
	schema   *spec.Schema
}

// ResolveSchema finds the schema of a kind for the type check.
func (s schemas) ResolveSchema(kind schema.GroupVersionKind) (*spec.Schema, error) {
	if found, ok := s[kind]; ok {
		return found.schema, nil
	}
	return nil, fmt.Errorf("%v: %w", kind, resolver.ErrSchemaNotFound)
}

// metadata is what an API server puts in place of the `type: object` of a CustomResourceDefinition.
const metadata = `{"type": "object", "properties": {
	"name": {"type": "string"}, "generateName": {"type": "string"}, "namespace": {"type": "string"},
	"uid": {"type": "string"}, "resourceVersion": {"type": "string"}, "generation": {"type": "integer", "format": "int64"},
	"creationTimestamp": {"type": "string", "format": "date-time"},
	"deletionTimestamp": {"type": "string", "format": "date-time"},
	"deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
	"labels": {"type": "object", "additionalProperties": {"type": "string"}},
	"annotations": {"type": "object", "additionalProperties": {"type": "string"}},
	"finalizers": {"type": "array", "items": {"type": "string"}},
	"ownerReferences": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
	"managedFields": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}`

// add keeps the schemas of a CustomResourceDefinition.
func (s schemas) add(line []byte) error {
	var object struct {
		Spec struct {
			Group    string
			Names    struct{ Kind, Plural string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema spec.Schema }
			}
		}
	}
	if err := json.Unmarshal(line, &object); err != nil {
		return err
	}
	group := object.Spec.Group
	for _, version := range object.Spec.Versions {
		known := version.Schema.OpenAPIV3Schema
		if known.Properties == nil {
			known.Properties = map[string]spec.Schema{}
		}
		var of spec.Schema
		if err := json.Unmarshal([]byte(metadata), &of); err != nil {
			return err
		}
		known.Properties["metadata"] = of
		known.Properties["apiVersion"] = *spec.StringProperty()
		known.Properties["kind"] = *spec.StringProperty()
		kind := schema.GroupVersionKind{Group: group, Version: version.Name, Kind: object.Spec.Names.Kind}
		resource := schema.GroupVersionResource{Group: group, Version: version.Name, Resource: object.Spec.Names.Plural}
		s[kind] = crd{resource, &known}
	}
	return nil
}

// check makes the warnings of `status.typeChecking`, and those of the variables, which an API server keeps to itself.
func (s schemas) check(policy *registration.ValidatingAdmissionPolicy) []string {
	mapper := meta.NewDefaultRESTMapper(nil)
	for kind, crd := range s {
		mapper.AddSpecific(kind, crd.resource, crd.resource, meta.RESTScopeNamespace)
	}
	checker := validating.TypeChecker{SchemaResolver: s, RestMapper: mapper}
	warnings := []string{}
	for _, warning := range checker.Check(policy) {
		warnings = append(warnings, warning.FieldRef+": "+warning.Warning)
	}
	types := checker.CreateContext(policy)
	for _, variable := range policy.Spec.Variables {
		if found := checker.CheckExpression(types, variable.Expression).String(); found != "" {
			warnings = append(warnings, variable.Name+": "+found)
		}
	}
	return warnings
}
