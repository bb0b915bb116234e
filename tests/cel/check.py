"""Compiles and evaluates the printed ValidatingAdmissionPolicy with Google's own CEL, types checked as an API server declares them.

Reads a policy from a file and reviews from standard input, one a line; prints for each the rule, the validations that refuse it with their
messages, and the audit annotations, one JSON object a line. tests/oracle compares them with what the webhook decides.
"""

import json
import sys

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

# `request`, as the API server declares it for policies (apiserver/pkg/admission/plugin/cel): field and type.
REQUEST = {
    "GroupVersionKind": {"group": "string", "version": "string", "kind": "string"},
    "GroupVersionResource": {"group": "string", "version": "string", "resource": "string"},
    "UserInfo": {"username": "string", "uid": "string", "groups": "repeated"},
    "AdmissionRequest": {
        "kind": "GroupVersionKind",
        "resource": "GroupVersionResource",
        "subResource": "string",
        "requestKind": "GroupVersionKind",
        "requestResource": "GroupVersionResource",
        "requestSubResource": "string",
        "name": "string",
        "namespace": "string",
        "operation": "string",
        "userInfo": "UserInfo",
        "dryRun": "bool",
    },
}


def pool():
    """The types as messages, which is how this CEL knows the fields of a type."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="request.proto", package="k8s", syntax="proto3")
    for name, fields in REQUEST.items():
        message = file.message_type.add(name=name)
        for number, (key, kind) in enumerate(fields.items(), 1):
            label = field.LABEL_REPEATED if kind == "repeated" else field.LABEL_OPTIONAL
            one = message.field.add(name=key, json_name=key, number=number, label=label)
            if kind in ("string", "repeated"):
                one.type = field.TYPE_STRING
            elif kind == "bool":
                one.type = field.TYPE_BOOL
            else:
                one.type, one.type_name = field.TYPE_MESSAGE, f".k8s.{kind}"
    known = descriptor_pool.DescriptorPool()
    known.Add(file)
    return known


class Policy:
    """The expressions, each compiled with the variables before it."""

    def __init__(self, spec):
        self.pool = pool()
        self.request = message_factory.GetMessageClass(self.pool.FindMessageTypeByName("k8s.AdmissionRequest"))
        # Objects of a resource without a schema that is known when the policy is checked.
        self.types = {"request": cel.Type("k8s.AdmissionRequest"), "object": cel.Type.DYN, "oldObject": cel.Type.DYN}
        self.variables = []
        for variable in spec["variables"]:
            compiled = self.compile(variable["expression"])
            self.variables.append((variable["name"], compiled))
            self.types[f"variables_{variable['name']}"] = compiled.return_type()
        self.validations = [
            (self.expecting(cel.Type.BOOL, one["expression"]), self.expecting(cel.Type.STRING, one["messageExpression"]), one["message"])
            for one in spec["validations"]
        ]
        self.annotations = [(one["key"], self.expecting(cel.Type.STRING, one["valueExpression"])) for one in spec["auditAnnotations"]]

    def compile(self, expression):
        env = cel.NewEnv(descriptor_pool=self.pool, variables=self.types)
        return env.compile(expression.replace("variables.", "variables_"))

    def expecting(self, wanted, expression):
        compiled = self.compile(expression)
        assert compiled.return_type() == wanted, f"{compiled.return_type()}: {expression}"
        return compiled

    def decide(self, request):
        data = {"object": request.pop("object", None), "oldObject": request.pop("oldObject", None)}
        data["request"] = json_format.ParseDict(request, self.request(), ignore_unknown_fields=True, descriptor_pool=self.pool)

        def value(compiled):
            result = compiled.eval(data=data)
            assert result.type() != cel.Type.ERROR, result.value()
            return result.plain_value()

        for name, compiled in self.variables:
            data[f"variables_{name}"] = value(compiled)
        refused = [(text.split(":")[0], value(message)) for passed, message, text in self.validations if not value(passed)]
        annotations = [(key, value(compiled)) for key, compiled in self.annotations]
        return {"rule": data["variables_rule"], "refused_by": refused, "annotations": [one for one in annotations if one[1]]}


def main(file):
    with open(file) as policy:
        compiled = Policy(json.load(policy)["spec"])
    for review in sys.stdin:
        print(json.dumps(compiled.decide(json.loads(review)["request"])))


if __name__ == "__main__":
    main(sys.argv[1])
