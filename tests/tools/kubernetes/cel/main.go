// Compiles and evaluates CEL with Kubernetes' own packages, as an API server of the oldest supported version would.
//
// Each line of standard input is an object, each line of standard output what became of it. A ValidatingWebhookConfiguration,
// a ValidatingAdmissionPolicy or a CustomResourceDefinition is kept, and answered with the errors of its compilation and the
// warnings of the type check. An AdmissionReview is answered with what those that were kept say about its request.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	registration "k8s.io/api/admissionregistration/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	strict "sigs.k8s.io/json"
)

// compiled is the answer to an object that has expressions, or a schema to check them against.
type compiled struct {
	Errors   []string `json:"errors"`
	Warnings []string `json:"warnings"`
}

// answer is what is said about a request.
type answer struct {
	Webhooks []hookAnswer  `json:"webhooks,omitempty"`
	Policy   *policyAnswer `json:"policy,omitempty"`
}

// server is what has been read so far.
type server struct {
	hooks   []hook
	policy  *policy
	schemas schemas
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	written := json.NewEncoder(out)
	written.SetEscapeHTML(false)
	kept := server{schemas: schemas{}}
	for number := 1; ; number++ {
		line, end := lines.ReadBytes('\n')
		if len(line) > 0 {
			result, err := kept.read(line)
			if err == nil {
				err = written.Encode(result)
			}
			if err != nil {
				out.Flush()
				fmt.Fprintf(os.Stderr, "line %d: %v\n", number, err)
				os.Exit(1)
			}
		}
		if end == io.EOF {
			break
		}
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (s *server) read(line []byte) (any, error) {
	var of meta.TypeMeta
	if err := json.Unmarshal(line, &of); err != nil {
		return nil, err
	}
	switch of.Kind {
	case "CustomResourceDefinition":
		return compiled{Errors: []string{}, Warnings: []string{}}, s.schemas.add(line)
	case "ValidatingWebhookConfiguration":
		var configuration registration.ValidatingWebhookConfiguration
		if err := decode(line, &configuration); err != nil {
			return nil, err
		}
		hooks, result := compileHooks(&configuration)
		s.hooks = hooks
		return result, nil
	case "ValidatingAdmissionPolicy":
		var object registration.ValidatingAdmissionPolicy
		if err := decode(line, &object); err != nil {
			return nil, err
		}
		policy, result, err := compilePolicy(&object, s.schemas)
		s.policy = policy
		return result, err
	case "AdmissionReview":
		return s.answer(line)
	}
	return nil, fmt.Errorf("unexpected kind %q", of.Kind)
}

// decode refuses unknown and repeated fields.
func decode(line []byte, into any) error {
	wrong, err := strict.UnmarshalStrict(line, into)
	if err == nil && len(wrong) > 0 {
		err = wrong[0]
	}
	return err
}

func (s *server) answer(line []byte) (*answer, error) {
	attributes, err := attributes(line)
	if err != nil {
		return nil, err
	}
	result := answer{}
	for _, hook := range s.hooks {
		result.Webhooks = append(result.Webhooks, hook.answer(context.Background(), attributes))
	}
	if s.policy != nil {
		result.Policy = s.policy.answer(context.Background(), attributes)
	}
	return &result, nil
}
