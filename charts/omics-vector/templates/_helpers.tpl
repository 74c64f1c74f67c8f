{{- define "omics-vector.name" -}}
{{- if contains "omics-vector" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-omics-vector" (.Release.Name | trunc 37 | trimSuffix "-") }}{{ end }}
{{- end }}
{{- define "omics-vector.selector" -}}
app.kubernetes.io/name: omics-vector
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "omics-vector.labels" -}}
{{ include "omics-vector.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "omics-vector.tokensSecret" -}}
{{- if .Values.tokens.existingSecret }}{{ .Values.tokens.existingSecret }}{{ else if .Values.tokens.file }}{{ include "omics-vector.name" . }}-tokens{{ end }}
{{- end }}
{{- define "omics-vector.check" -}}
{{- $t := .Values.tokens }}
{{- if and $t.existingSecret $t.file }}{{ fail "tokens.existingSecret and tokens.file exclude each other: set one" }}{{ end }}
{{- $some := or $t.existingSecret $t.file $t.secretsManager .Values.endUsers.issuer }}
{{- if and $some $t.insecureNoAuth }}{{ fail "tokens.insecureNoAuth does not go with tokens or endUsers: unset one of them" }}{{ end }}
{{- if not (or $some $t.insecureNoAuth) }}{{ fail "no tokens: set tokens.existingSecret, tokens.file, tokens.secretsManager or endUsers.issuer; or tokens.insecureNoAuth=true" }}{{ end }}
{{- $u := .Values.endUsers }}
{{- if and $u.issuer (or (not $u.audience) (not $u.roles) (eq (empty $u.tenantClaim) (empty $u.tenant))) }}{{ fail "endUsers.issuer needs endUsers.audience, endUsers.roles, and either endUsers.tenantClaim or endUsers.tenant" }}{{ end }}
{{- if and (eq .Values.mode "read-only") (not .Values.prewarm.collections) }}{{ fail "mode read-only serves only what it loads: set prewarm.collections" }}{{ end }}
{{- if and .Values.shipping.to (ne .Values.mode "writable") }}{{ fail "shipping.to is for mode writable: pods of mode read-only have nothing to ship" }}{{ end }}
{{- end }}
{{- define "omics-vector.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities: {drop: [ALL]}
{{- end }}
{{- define "omics-vector.env" -}}
- {name: OMICS_VECTOR_DRAIN_SECONDS, value: {{ .Values.drainSeconds | quote }}}
- {name: OMICS_VECTOR_LOG_FORMAT, value: json}
- {name: OMICS_VECTOR_AWS_REGION, value: {{ .Values.aws.region | quote }}}
{{- if include "omics-vector.tokensSecret" . }}
- {name: OMICS_VECTOR_TOKENS_FILE, value: /etc/omics-vector/tokens/{{ .Values.tokens.key }}}
{{- end }}
{{- if .Values.tokens.secretsManager }}
- {name: OMICS_VECTOR_TOKENS_SECRET, value: {{ .Values.tokens.secretsManager | quote }}}
{{- end }}
{{- if .Values.tokens.insecureNoAuth }}
- {name: OMICS_VECTOR_INSECURE_NO_AUTH, value: "on"}
{{- end }}
{{- if .Values.endUsers.issuer }}
{{- range $name, $value := .Values.endUsers }}
{{- if $value }}
- {name: OMICS_VECTOR_JWT_{{ snakecase $name | upper }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.tls.existingSecret }}
- {name: OMICS_VECTOR_TLS_CERTIFICATE, value: /etc/omics-vector/tls/tls.crt}
- {name: OMICS_VECTOR_TLS_KEY, value: /etc/omics-vector/tls/tls.key}
{{- end }}
{{- end }}
{{- define "omics-vector.mounts" -}}
- {name: socket, mountPath: /run/omics-vector}
- {name: tmp, mountPath: /tmp}
{{- if include "omics-vector.tokensSecret" . }}
- {name: tokens, mountPath: /etc/omics-vector/tokens, readOnly: true}
{{- end }}
{{- if .Values.tls.existingSecret }}
- {name: tls, mountPath: /etc/omics-vector/tls, readOnly: true}
{{- end }}
{{- end }}
{{- define "omics-vector.pod" -}}
metadata:
  labels:
    {{- include "omics-vector.labels" . | nindent 4 }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "omics-vector.name" . }}
  automountServiceAccountToken: false
  # Variables made of Service names would begin with OMICS_VECTOR_, as our own do.
  enableServiceLinks: false
  # With shipping the service takes up to a minute more for what is not in S3 yet.
  terminationGracePeriodSeconds: {{ add .Values.drainSeconds 15 (ternary 60 0 (ne .Values.shipping.to "")) }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  containers:
    - name: vector-service
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: [vector-service]
      env:
        {{- include "omics-vector.env" . | nindent 8 }}
        - {name: OMICS_VECTOR_DATA_DIR, value: /data/chroma}
        - {name: OMICS_VECTOR_GRPC_ADDRESS, value: "0.0.0.0:50051"}
        - {name: OMICS_VECTOR_GRPC_UNIX_SOCKET, value: /run/omics-vector/grpc.sock}
        - {name: OMICS_VECTOR_METRICS_ADDRESS, value: "0.0.0.0:9090"}
        {{- if not .Values.tls.existingSecret }}
        - {name: OMICS_VECTOR_GRPC_BEHIND_PROXY, value: "on"}
        {{- end }}
        {{- if .Values.prewarm.collections }}
        - {name: OMICS_VECTOR_PREWARM, value: {{ toJson .Values.prewarm.collections | quote }}}
        - {name: OMICS_VECTOR_PREWARM_POLL_SECONDS, value: {{ .Values.prewarm.pollSeconds | quote }}}
        {{- end }}
        {{- if .Values.shipping.to }}
        - {name: OMICS_VECTOR_SHIP_TO, value: {{ .Values.shipping.to | quote }}}
        - {name: OMICS_VECTOR_SHIP_SECONDS, value: {{ .Values.shipping.seconds | quote }}}
        {{- end }}
        {{- if .Values.aws.s3Unsigned }}
        - {name: OMICS_VECTOR_S3_UNSIGNED, value: "on"}
        {{- end }}
      ports:
        - {name: grpc, containerPort: 50051}
        - {name: metrics, containerPort: 9090}
      startupProbe:
        exec: {command: [vectorctl, health, --live, --address, "unix:/run/omics-vector/grpc.sock"]}
        periodSeconds: 2
        timeoutSeconds: 6
        failureThreshold: 150
      livenessProbe:
        exec: {command: [vectorctl, health, --live, --address, "unix:/run/omics-vector/grpc.sock"]}
        periodSeconds: 10
        timeoutSeconds: 6
        failureThreshold: 6
      readinessProbe:
        exec: {command: [vectorctl, health, --address, "unix:/run/omics-vector/grpc.sock"]}
        periodSeconds: 5
        timeoutSeconds: 6
      resources:
        {{- toYaml .Values.resources.service | nindent 8 }}
      securityContext:
        {{- include "omics-vector.security" . | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        {{- include "omics-vector.mounts" . | nindent 8 }}
    - name: vector-gateway
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: [vector-gateway]
      env:
        {{- include "omics-vector.env" . | nindent 8 }}
        - {name: OMICS_VECTOR_REST_ADDRESS, value: "0.0.0.0:8000"}
        - {name: OMICS_VECTOR_SERVICE_ADDRESS, value: "unix:/run/omics-vector/grpc.sock"}
        - {name: OMICS_VECTOR_GATEWAY_METRICS_ADDRESS, value: "0.0.0.0:9091"}
      ports:
        - {name: rest, containerPort: 8000}
        - {name: gateway-metrics, containerPort: 9091}
      livenessProbe:
        httpGet: {path: /livez, port: rest, scheme: {{ ternary "HTTPS" "HTTP" (ne .Values.tls.existingSecret "") }}}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: rest, scheme: {{ ternary "HTTPS" "HTTP" (ne .Values.tls.existingSecret "") }}}
        periodSeconds: 5
        timeoutSeconds: 5
      resources:
        {{- toYaml .Values.resources.gateway | nindent 8 }}
      securityContext:
        {{- include "omics-vector.security" . | nindent 8 }}
      volumeMounts:
        {{- include "omics-vector.mounts" . | nindent 8 }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "omics-vector.selector" . | nindent 10 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumes:
    - name: socket
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    - name: tmp
      emptyDir: {sizeLimit: 1Gi}
    {{- if include "omics-vector.tokensSecret" . }}
    - name: tokens
      secret: {secretName: {{ include "omics-vector.tokensSecret" . }}, defaultMode: 288}
    {{- end }}
    {{- if .Values.tls.existingSecret }}
    - name: tls
      secret: {secretName: {{ .Values.tls.existingSecret }}, defaultMode: 288}
    {{- end }}
    {{- if eq .Values.mode "read-only" }}
    - name: data
      emptyDir: {sizeLimit: {{ .Values.persistence.size }}}
    {{- end }}
{{- end }}
