"""Helm 4, called as the program is: install|upgrade NAME CHART [--set=…], rollback NAME REVISION, uninstall NAME, version."""

import os
import sys

import helm_python

command, *arguments = sys.argv[1:]
namespace = os.environ["HELM_NAMESPACE"]
values = {}
for argument in [argument for argument in arguments if argument.startswith("--set=")]:
    arguments.remove(argument)
    for key, value in helm_python.parse_set_string(argument.removeprefix("--set=")).items():
        values.setdefault(key, {}).update(value) if isinstance(value, dict) else values.update({key: value})

if command == "version":
    print(helm_python.helm_sdk_version())
    sys.exit()
with helm_python.Config(kubeconfig_path=os.environ["KUBECONFIG"], namespace=namespace) as config:
    if command in ("install", "upgrade"):
        release, chart = arguments
        getattr(config, command)(helm_python.Chart.load(chart), release, values, namespace=namespace)
    elif command == "rollback":
        release, revision = arguments
        config.rollback(release, version=int(revision))
    elif command == "uninstall":
        config.uninstall(*arguments)
    else:
        sys.exit(f"unknown command {command}")
