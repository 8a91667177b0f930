{{/* Names, labels and the parts of a pod that the API, the worker and the migrations share. */}}

{{- define "fenzhi.name" -}}
{{- if contains "fenzhi" .Release.Name -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- else -}}{{ printf "%s-fenzhi" (.Release.Name | trunc 43 | trimSuffix "-") }}{{- end -}}
{{- end }}

{{- define "fenzhi.release" -}}
app.kubernetes.io/name: fenzhi
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "fenzhi.selector" -}}
{{ include "fenzhi.release" .root }}
app.kubernetes.io/component: {{ .part | quote }}
{{- end }}

{{- define "fenzhi.labels" -}}
{{ include "fenzhi.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "fenzhi.image" -}}
{{- if .Values.image.digest -}}{{ printf "%s@%s" .Values.image.repository .Values.image.digest | quote }}{{- else -}}{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}{{- end -}}
{{- end }}

{{- define "fenzhi.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "fenzhi.name" .) }}
{{- end }}

{{- define "fenzhi.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "fenzhi.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "fenzhi.env" -}}
- {name: FENZHI_APP_DATABASE_URL, valueFrom: {secretKeyRef: {name: {{ .Values.database.application.existingSecret | quote }}, key: {{ .Values.database.application.key | quote }}}}}
- {name: FENZHI_REDIS_URL, valueFrom: {secretKeyRef: {name: {{ .Values.redis.existingSecret | quote }}, key: {{ .Values.redis.key | quote }}}}}
- {name: FENZHI_MASTER_KEY, valueFrom: {secretKeyRef: {name: {{ .Values.masterKey.existingSecret | quote }}, key: {{ .Values.masterKey.key | quote }}}}}
- {name: FENZHI_JWT_ISSUER, value: {{ required "tokens.issuer must name the issuer of access tokens" .Values.tokens.issuer | quote }}}
- {name: FENZHI_JWT_AUDIENCE, value: {{ .Values.tokens.audience | quote }}}
{{- if and (or .Values.tokens.keysUrl .Values.tokens.jwksHosts) .Values.networkPolicy.enabled (not .Values.networkPolicy.issuer.to) }}
{{- fail "networkPolicy.issuer.to must name where tokens.keysUrl and tokens.jwksHosts are: nothing else is let out" }}
{{- end }}
{{- with .Values.tokens.keysUrl }}
- {name: FENZHI_JWT_KEYS_URL, value: {{ . | quote }}}
{{- else }}
- {name: FENZHI_JWT_PUBLIC_KEYS, value: /etc/fenzhi/jwks.json}
{{- end }}
{{- with .Values.tokens.jwksHosts }}
- {name: FENZHI_JWKS_HOSTS, value: {{ toJson . | quote }}}
{{- end }}
- {name: FENZHI_METRICS_HOST, value: "0.0.0.0"}
- {name: FENZHI_METRICS_PORT, value: {{ .Values.metrics.port | quote }}}
{{- with .Values.tracing.endpoint }}
- {name: FENZHI_OTLP_ENDPOINT, value: {{ . | quote }}}
- {name: FENZHI_TRACE_ONE_IN, value: {{ $.Values.tracing.oneIn | quote }}}
{{- end }}
- {name: FENZHI_DEV_ISSUER, value: "0"}
- {name: FENZHI_LOG_LEVEL, value: {{ .Values.logLevel | quote }}}
- {name: FENZHI_STATE_DIR, value: /tmp/fenzhi}
- {name: PYTHONSAFEPATH, value: "1"}
{{- end }}

{{- define "fenzhi.mounts" -}}
- {name: scratch, mountPath: /tmp}
{{- if not .Values.tokens.keysUrl }}
- {name: token-keys, mountPath: /etc/fenzhi, readOnly: true}
{{- end }}
{{- end }}

{{- define "fenzhi.tokenKeys" -}}
{{- if not .Values.tokens.keysUrl }}
- name: token-keys
  configMap:
    name: {{ .Values.tokens.publicKeys.existingConfigMap | quote }}
    items: [{key: {{ .Values.tokens.publicKeys.key | quote }}, path: jwks.json}]
{{- end }}
{{- end }}

{{- define "fenzhi.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "fenzhi.selector" . | nindent 6 }}
{{- end }}
