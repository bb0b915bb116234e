{{/* The two webhook configurations. */}}

{{- define "session-webhook.webhook-metadata" -}}
{{- $root := . }}
{{- $annotations := dict }}
{{- if eq $root.Values.certificate.source "cert-manager" }}
{{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s" $root.Release.Namespace (include "session-webhook.name" $root)) }}
{{- end }}
{{- $annotations = merge $annotations $root.Values.webhooks.annotations }}
name: {{ include "session-webhook.cluster-name" $root }}
labels:
  {{- include "session-webhook.labels" $root | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What all entries have in common. Every field that the API server would default is spelled out, but
for the selectors: AKS writes one of its own, and a server-side apply of ours would conflict with it. */}}
{{- define "session-webhook.webhook-entry" -}}
admissionReviewVersions:
  - v1
clientConfig:
  {{- with .root.Values.certificate }}
  {{- if eq .source "secret" }}
  caBundle: {{ .caBundle | trim | printf "%s\n" | b64enc }}
  {{- end }}
  {{- end }}
  service:
    name: {{ include "session-webhook.name" .root }}
    namespace: {{ .root.Release.Namespace }}
    path: {{ .path }}
    port: 443
rules:
  - apiGroups:
      - hobbyfarm.io
    apiVersions:
      - "*"
    operations:
      - CREATE
      - UPDATE
    resources:
      - sessions
      - sessions/status
    scope: "*"
matchPolicy: Equivalent
{{- with .root.Values.webhooks.namespaceSelector }}
namespaceSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
sideEffects: None
{{- end }}

{{- define "session-webhook.mutating" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  {{- include "session-webhook.webhook-metadata" .root | nindent 2 }}
webhooks:
  - name: mutate.session-webhook.hobbyfarm.io
    {{- include "session-webhook.webhook-entry" (dict "root" .root "path" "/mutate") | nindent 4 }}
    {{- with include "session-webhook.keep-alive-condition" .root }}
    matchConditions:
      # a keep-alive moves end_time and nothing else; on all doubt the webhook is called
      {{- . | nindent 6 }}
    {{- end }}
    # a repair that is missed must not stop a lesson: validation stands behind it
    failurePolicy: Ignore
    reinvocationPolicy: IfNeeded
    timeoutSeconds: {{ .root.Values.webhooks.timeoutSeconds.mutate }}
{{- end }}

{{/*
One check, registered twice, because the two kinds of writers want opposite things when no replica answers: everybody else
stays locked out (Fail), and HobbyFarm goes on (Ignore), or lessons would end at the next missed keep-alive, and so do the
controllers that collect garbage, or what is deleted in the foreground, or with its owner, would wait. Without
matchConditions the second entry would say nothing that the first does not say more strictly.
*/}}
{{- define "session-webhook.validating" -}}
{{- $policy := include "session-webhook.failure-policy" .root }}
{{- $splits := include "session-webhook.splits" .root }}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  {{- include "session-webhook.webhook-metadata" .root | nindent 2 }}
webhooks:
  - name: validate.session-webhook.hobbyfarm.io
    {{- include "session-webhook.webhook-entry" (dict "root" .root "path" "/validate") | nindent 4 }}
    {{- if $splits }}
    matchConditions:
      - name: writer-waits-for-an-answer
        expression: {{ include "session-webhook.goes-on" .root | printf "!(%s)" | quote }}
    {{- end }}
    failurePolicy: {{ eq $policy "open" | ternary "Ignore" "Fail" }}
    timeoutSeconds: {{ .root.Values.webhooks.timeoutSeconds.validate }}
  {{- if $splits }}
  - name: validate-hobbyfarm.session-webhook.hobbyfarm.io
    {{- include "session-webhook.webhook-entry" (dict "root" .root "path" "/validate") | nindent 4 }}
    matchConditions:
      - name: writer-goes-on
        expression: {{ include "session-webhook.goes-on" .root | quote }}
      {{- with include "session-webhook.keep-alive-condition" .root }}
      {{- . | nindent 6 }}
      {{- end }}
    failurePolicy: {{ eq $policy "closed" | ternary "Fail" "Ignore" }}
    {{- $timeouts := .root.Values.webhooks.timeoutSeconds }}
    timeoutSeconds: {{ eq $policy "closed" | ternary $timeouts.validate $timeouts.validateHobbyFarm }}
  {{- end }}
{{- end }}
