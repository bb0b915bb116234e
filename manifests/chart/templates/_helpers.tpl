{{/* Of objects in the release's namespace. The program knows the default, and is told of another. */}}
{{- define "session-webhook.name" -}}
{{- .Values.fullnameOverride | default "session-webhook" }}
{{- end }}

{{/* Of objects that belong to no namespace. */}}
{{- define "session-webhook.cluster-name" -}}
{{- .Values.fullnameOverride | default "hobbyfarm-session-webhook" }}
{{- end }}

{{/* The pods' account. */}}
{{- define "session-webhook.account" -}}
{{- .Values.serviceAccount.name | default (include "session-webhook.name" .) }}
{{- end }}

{{/* The Secret that is mounted. */}}
{{- define "session-webhook.tls-secret" -}}
{{- .Values.certificate.secretName | default (include "session-webhook.name" . | printf "%s-tls") }}
{{- end }}

{{/* What the API server calls the pods by, unless tls-name is given. */}}
{{- define "session-webhook.tls-name" -}}
{{- $isGiven := hasKey .Values.config "tls-name" }}
{{- range .Values.extraArgs }}
{{- $isGiven = or $isGiven (hasPrefix "--tls-name=" .) }}
{{- end }}
{{- range .Values.extraEnv }}
{{- $isGiven = or $isGiven (eq .name "SESSION_WEBHOOK_TLS_NAME") }}
{{- end }}
{{- if not $isGiven }}
{{- include "session-webhook.name" . | printf "%s.$(POD_NAMESPACE).svc" }}
{{- end }}
{{- end }}

{{- define "session-webhook.selector" -}}
app.kubernetes.io/name: {{ include "session-webhook.name" . }}
{{- end }}

{{- define "session-webhook.labels" -}}
{{- $own := dict "app.kubernetes.io/name" (include "session-webhook.name" .) "app.kubernetes.io/part-of" "hobbyfarm" }}
{{- toYaml (merge $own .Values.labels) }}
{{- end }}

{{- define "session-webhook.image" -}}
{{- with .Values.image }}
{{- if and .digest .tag }}
{{- fail "image.tag and image.digest name two images: set one of them" }}
{{- else if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}
{{- end }}
{{- end }}
{{- end }}

{{/* What decides where pods run, of the webhook and of Jobs. */}}
{{- define "session-webhook.pod-placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* HobbyFarm's accounts as namespace/name, one a line. */}}
{{- define "session-webhook.accounts" -}}
{{- range .Values.hobbyfarm.serviceAccounts }}
{{- contains "/" . | ternary . (printf "%s/%s" $.Values.hobbyfarm.namespace .) }}
{{ end }}
{{- end }}

{{/* A CEL expression: the writer is HobbyFarm, or a controller that collects garbage. */}}
{{- define "session-webhook.goes-on" -}}
{{- $users := list }}
{{- range include "session-webhook.accounts" . | trim | splitList "\n" }}
{{- $users = replace "/" ":" . | printf "'system:serviceaccount:%s'" | append $users }}
{{- end }}
{{- range list "generic-garbage-collector" "namespace-controller" }}
{{- $users = printf "'system:serviceaccount:kube-system:%s'" . | append $users }}
{{- end }}
{{- join ", " $users | printf "has(request.userInfo.uid) && request.userInfo.username in [ %s]" }}
{{- " || request.userInfo.username == 'system:kube-controller-manager'" }}
{{- end }}

{{/* A CEL expression: the write is no keep-alive of HobbyFarm's, so that the webhook is called. */}}
{{- define "session-webhook.not-a-keep-alive" -}}
{{- $users := list }}
{{- range include "session-webhook.accounts" . | trim | splitList "\n" }}
{{- $users = replace "/" ":" . | printf "'system:serviceaccount:%s'" | append $users }}
{{- end -}}
!(request.operation == 'UPDATE' && has(request.subResource) && request.subResource == 'status' &&
request.kind.version == 'v1' &&
has(request.userInfo.uid) && request.userInfo.username in [
{{ join ",\n" $users }}] &&
[object, oldObject].all(o, has(o.spec) && has(o.status) && type(o.status) == map &&
has(o.status.end_time) && has(o.status.start_time) &&
o.status == {'end_time': o.status.end_time, 'start_time': object.status.start_time,
'active': dyn(true), 'paused': dyn(false), 'finished': dyn(false), 'paused_time': dyn('')}) &&
object.spec == oldObject.spec && type(object.spec) == map &&
has(object.spec.vm_claim) && type(object.spec.vm_claim) == list &&
[[object.status.start_time, oldObject.status.end_time, object.status.end_time]].all(times,
times.all(t, type(t) == string && size(t) == 28) && (times[0] + times[1] + times[2]).matches(
r'^((Mon|Tue|Wed|Thu|Fri|Sat|Sun) ((Jan|Mar|May|Jul|Aug|Oct|Dec) ( [1-9]|[12]\d|3[01])|(Apr|Jun|Sep|Nov) ( [1-9]|[12]\d|30)|Feb ( [1-9]|1\d|2[0-8])) ([01]\d|2[0-3])(:[0-5]\d){2} UTC 20\d\d){3}$') &&
times[1] <= times[2] && times[2].startsWith(times[1].substring(0, 11)) && times[2].endsWith(times[1].substring(20))))
{{- end }}

{{/* The match condition that spares keep-alives the call, where it is wanted and the server keeps it. */}}
{{- define "session-webhook.keep-alive-condition" -}}
{{- $documented := eq (get .Values.config "dialect" | default "auto") "documented" }}
{{- if and (include "session-webhook.splits" .) .Values.matchConditions.keepAlives (not $documented) -}}
- name: write-is-not-a-keep-alive
  expression: |-
    {{- include "session-webhook.not-a-keep-alive" . | nindent 4 }}
{{- end }}
{{- end }}

{{/* Not empty where the server keeps matchConditions. */}}
{{- define "session-webhook.splits" -}}
{{- $auto := semverCompare ">=1.28-0" .Capabilities.KubeVersion.Version }}
{{- $wanted := .Values.webhooks.matchConditions }}
{{- if or (eq $wanted "always") (and (eq $wanted "auto") $auto) }}yes{{ end }}
{{- end }}

{{/* Who may write while no replica answers: split, open or closed. */}}
{{- define "session-webhook.failure-policy" -}}
{{- $wanted := .Values.webhooks.failurePolicy }}
{{- $isTrial := ne .Values.mode "enforce" }}
{{- if eq $wanted "auto" }}
{{- or $isTrial (eq .Values.guard "policy-and-webhook") | ternary "open" "split" }}
{{- else if and $isTrial (ne $wanted "open") }}
{{- printf "mode %s refuses nobody, but webhooks.failurePolicy %s would while no replica answers: leave it at auto" .Values.mode $wanted | fail }}
{{- else }}
{{- $wanted }}
{{- end }}
{{- end }}

{{/* Options that other values decide, or that other objects rely on. */}}
{{- define "session-webhook.decided" -}}
audit-interval backfill backfill-after backfill-lease backfill-unparsable break-glass-group break-glass-user config listen mode ops-listen own-service-account service-account tls tls-secret tls-service watch-namespace webhook-configuration
{{- end }}

{{/* An option in extraArgs or extraEnv would win over the value that sets it, behind its back. */}}
{{- define "session-webhook.refuse-repetition" -}}
{{- $taken := concat (include "session-webhook.decided" . | splitList " ") (keys .Values.config) }}
{{- range .Values.extraArgs }}
{{- $option := regexFind "^--[^= ]*" . | trimPrefix "--" }}
{{- if has $option $taken }}
{{- printf "extraArgs: --%s is set by another value already: change that one (config, mode, backfill, …)" $option | fail }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- $option := .name | trimPrefix "SESSION_WEBHOOK_" | lower | replace "_" "-" }}
{{- if or (eq .name "POD_NAMESPACE") (and (hasPrefix "SESSION_WEBHOOK_" .name) (has $option $taken)) }}
{{- printf "extraEnv: %s is set by the chart already: change the value behind it (config, mode, backfill, …)" .name | fail }}
{{- end }}
{{- end }}
{{- end }}

{{/* Milliseconds of a duration such as 1m30s, as the program reads it. */}}
{{- define "session-webhook.milliseconds" -}}
{{- $units := dict "h" 3600000 "m" 60000 "s" 1000 "ms" 1 }}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9]+([.][0-9]+)?(h|ms|m|s)" (toString .) -1 }}
{{- $unit := regexFind "[a-z]+" . }}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) }}
{{- end }}
{{- int64 $sum }}
{{- end }}

{{- define "session-webhook.refuse-short-grace-period" -}}
{{- $delay := dig "drain-delay" "10s" .Values.config | include "session-webhook.milliseconds" | int64 }}
{{- $drain := dig "drain-timeout" "15s" .Values.config | include "session-webhook.milliseconds" | int64 }}
{{- if ge (add $delay $drain) (mul 1000 (int64 .Values.terminationGracePeriodSeconds)) }}
{{- printf "terminationGracePeriodSeconds %v is not longer than drain-delay and drain-timeout together (%v ms): requests in flight would be cut" .Values.terminationGracePeriodSeconds (add $delay $drain) | fail }}
{{- end }}
{{- end }}

{{/* How often and how a monitor asks. */}}
{{- define "session-webhook.endpoint" -}}
port: ops
path: /metrics
interval: {{ .Values.metrics.interval }}
{{- with .Values.metrics.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .Values.metrics.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Not empty where the pods speak to the API server. */}}
{{- define "session-webhook.speaks-to-api-server" -}}
{{- if or .Values.backfill.enabled (eq .Values.certificate.source "self-managed") }}yes{{ end }}
{{- end }}

{{/* The file that the program reads. Whatever is the program's own default is left out. */}}
{{- define "session-webhook.config" -}}
# The accounts that HobbyFarm writes Sessions with. The matchConditions of the validating webhook list the same ones.
service-account:
{{- range include "session-webhook.accounts" . | trim | splitList "\n" }}
  - {{ . }}
{{- end }}
{{- $more := dict }}
{{- if ne .Values.mode "enforce" }}{{ $_ := set $more "mode" .Values.mode }}{{ end }}
{{- with .Values.breakGlass.users }}{{ $_ := set $more "break-glass-user" . }}{{ end }}
{{- with .Values.breakGlass.groups }}{{ $_ := set $more "break-glass-group" . }}{{ end }}
{{- with .Values.backfill.watchNamespaces }}{{ $_ := set $more "watch-namespace" . }}{{ end }}
{{- with .Values.backfill }}
{{- if .enabled }}
{{- if ne .after "30s" }}{{ $_ := set $more "backfill-after" .after }}{{ end }}
{{- if not .unparsable }}{{ $_ := set $more "backfill-unparsable" false }}{{ end }}
{{- end }}
{{- end }}
{{- with merge $more .Values.config }}
{{ toYaml . }}
{{- end }}
{{ end }}

{{/*
The name changes with the content, because the file is read at start only: a changed one rolls the pods. The hash is
kustomize's (which leaves the name out of it), so that both ways of installing make the same object.
*/}}
{{- define "session-webhook.config-map" -}}
{{- $data := dict "config.yaml" (include "session-webhook.config" .) }}
{{- $hash := dict "kind" "ConfigMap" "name" "" "data" $data | toJson | sha256sum | trunc 10 }}
{{- $hash = $hash | replace "0" "g" | replace "1" "h" | replace "3" "k" | replace "a" "m" | replace "e" "t" }}
{{- printf "%s-%s" (include "session-webhook.name" .) $hash }}
{{- end }}

{{/* A pod that asks doctor once. */}}
{{- define "session-webhook.doctor-pod" -}}
serviceAccountName: {{ include "session-webhook.name" . }}-doctor
enableServiceLinks: false
restartPolicy: Never
{{- include "session-webhook.pod-placement" . }}
securityContext:
  {{- toYaml (omit .Values.podSecurityContext "fsGroup") | nindent 2 }}
containers:
  - name: doctor
    image: {{ include "session-webhook.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
      - doctor
      - --wait={{ .Values.doctor.wait }}
      {{- with .Values.fullnameOverride }}
      - --webhook-configuration={{ . }}
      {{- end }}
    resources:
      {{- toYaml .Values.doctor.resources | nindent 6 }}
    securityContext:
      {{- toYaml .Values.securityContext | nindent 6 }}
{{- end }}
