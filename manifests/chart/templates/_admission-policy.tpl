{{/*
What files/policy.yaml, which the program printed for its shipped configuration, says otherwise for other values: the same
expressions that src/core/policy_twin/cel.rs makes. tests/chart/admission_policy.rs holds both against each other.
*/}}

{{/* A CEL literal, as src/core/policy_twin/cel.rs writes it: what could end it, or be read in two ways, by its code point. */}}
{{- define "session-webhook.literal" -}}
{{- $literal := "" }}
{{- range regexFindAll "(?s)." . -1 }}
{{- if regexMatch "^[ -&(-\\[\\]-~]$" . }}
{{- $literal = print $literal . }}
{{- else }}
{{- /* Go tells the number of all but these. */}}
{{- $known := dict "'" "27" "\\" "5C" "\a" "07" "\b" "08" "\t" "09" "\n" "0A" "\v" "0B" "\f" "0C" "\r" "0D" }}
{{- $hex := get $known . | default (printf "%+q" . | regexFind "[0-9a-f]{2,}" | upper) }}
{{- $literal = printf "%s\\U%s%s" $literal (repeat (sub 8 (len $hex) | int) "0") $hex }}
{{- end }}
{{- end }}
{{- printf "'%s'" $literal }}
{{- end }}

{{/* A list of CEL literals: `value in ['a', 'b']`. Called with the value and the names. */}}
{{- define "session-webhook.among" -}}
{{- $literals := list }}
{{- range .names }}
{{- $literals = append $literals (include "session-webhook.literal" .) }}
{{- end }}
{{- printf "%s in [%s]" .value (join ", " $literals) }}
{{- end }}

{{- define "session-webhook.cel-hobbyfarm" -}}
{{- $users := list }}
{{- range prepend (include "session-webhook.accounts" . | trim | splitList "\n") (printf "%s/%s" .Release.Namespace (include "session-webhook.account" .)) }}
{{- $users = replace "/" ":" . | printf "system:serviceaccount:%s" | append $users }}
{{- end }}
{{- include "session-webhook.among" (dict "value" "variables.user" "names" $users) }}
{{- end }}

{{- define "session-webhook.cel-break-glass" -}}
{{- $either := list }}
{{- with .Values.breakGlass.users }}
{{- $either = append $either (include "session-webhook.among" (dict "value" "variables.user" "names" .)) }}
{{- end }}
{{- with .Values.breakGlass.groups }}
{{- $either = include "session-webhook.among" (dict "value" "group" "names" .) | printf "variables.groups.exists(group, %s)" | append $either }}
{{- end }}
{{- join " || " $either | default "false" }}
{{- end }}

{{/* Accounts by their exact names, then those with a `*` part, then users. */}}
{{- define "session-webhook.cel-housekeeper" -}}
{{- $accounts := list }}
{{- $patterns := list }}
{{- $users := list }}
{{- range kindIs "slice" . | ternary . (list .) }}
{{- $isAccount := or (regexMatch "^system:serviceaccount:[^:]+:[^:]+$" .) (and (contains "/" .) (not (contains ":" .))) }}
{{- $account := . | trimPrefix "system:serviceaccount:" | replace "/" ":" | printf "system:serviceaccount:%s" }}
{{- if and $isAccount (contains "*" .) }}
{{- $whole := $account | replace "." "[.]" | replace "*" "[^:]+" | printf "^%s$" }}
{{- $patterns = include "session-webhook.literal" $whole | printf "variables.user.matches(%s)" | append $patterns }}
{{- else if $isAccount }}
{{- $accounts = append $accounts $account }}
{{- else }}
{{- $users = append $users . }}
{{- end }}
{{- end }}
{{- $either := $patterns }}
{{- with $accounts }}
{{- $either = include "session-webhook.among" (dict "value" "variables.user" "names" .) | prepend $either }}
{{- end }}
{{- with $users }}
{{- $either = include "session-webhook.among" (dict "value" "variables.user" "names" .) | append $either }}
{{- end }}
{{- join " || " $either | default "false" }}
{{- end }}

{{/* What refusals say about who may write, with no more than 50 characters of a name. */}}
{{- define "session-webhook.who-may-write" -}}
{{- $accounts := include "session-webhook.accounts" .root | trim | splitList "\n" }}
{{- $first := first $accounts }}
{{- if gt (len $first) 50 }}
{{- $first = printf "%s%s" (trunc 50 $first) .ellipsis }}
{{- end }}
{{- $others := gt (len $accounts) 1 | ternary (printf " and %d more" (sub (len $accounts) 1)) "" }}
{{- printf " (service account \"%s\"%s)" $first $others }}
{{- end }}
