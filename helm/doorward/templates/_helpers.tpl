{{- define "doorward.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* 46 characters leave room for what names of ours end with. */}}
{{- define "doorward.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 46 | trimSuffix "-" -}}
{{- end -}}

{{- define "doorward.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "doorward.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "doorward.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "doorward.instanceLabels" -}}
app.kubernetes.io/name: {{ include "doorward.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What serves: neither the pods of migrations nor those of tests have all of these. */}}
{{- define "doorward.serverLabels" -}}
{{ include "doorward.instanceLabels" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "doorward.labels" -}}
{{ include "doorward.instanceLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* The Secret with the certificate; empty: no TLS. */}}
{{- define "doorward.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{ include "doorward.fullname" . }}-tls
{{- else -}}
{{ .Values.tls.existingSecret }}
{{- end -}}
{{- end -}}

{{/* Milliseconds. */}}
{{- define "doorward.graceMs" -}}
{{- dig "server" "grace_ms" 10000 .Values.config | int64 -}}
{{- end -}}

{{/* The grace and the sleep before it, and something for the way out. */}}
{{- define "doorward.terminationSeconds" -}}
{{- $needed := add .Values.preStopSeconds (div (add (include "doorward.graceMs" . | int64) 999) 1000) -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{ add $needed 15 }}
{{- else if le (int64 $given) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds is %d: it must exceed preStopSeconds and config.server.grace_ms together, %d s" (int64 $given) $needed) -}}
{{- else -}}
{{ int64 $given }}
{{- end -}}
{{- end -}}

{{/* The settings file. */}}
{{- define "doorward.toml" -}}
{{- $ours := dict
  "server" (dict "listen" (printf "%s:50051" .Values.bindAddress))
  "admin" (dict "listen" (printf "%s:9090" .Values.bindAddress)) -}}
{{- if include "doorward.tlsSecret" . -}}
{{- $tls := dict "cert_file" "/etc/doorward/tls/tls.crt" "key_file" "/etc/doorward/tls/tls.key" "client_auth" .Values.tls.clientAuth -}}
{{- if ne .Values.tls.clientAuth "none" -}}
{{- $_ := set $tls "client_ca_file" (printf "/etc/doorward/client-ca/%s" .Values.tls.clientCa.key) -}}
{{- end -}}
{{- $_ := set $ours "tls" $tls -}}
{{- end -}}
{{- if .Values.servicesFile.existingSecret -}}
{{- $_ := set $ours "auth" (dict "services_file" (printf "/etc/doorward/services/%s" .Values.servicesFile.key)) -}}
{{- end -}}
{{- if .Values.catalogue -}}
{{- $_ := set $ours "catalogue" (dict "file" "/etc/doorward/config/catalogue.toml") -}}
{{- end -}}
{{- range $section, $settings := mergeOverwrite (deepCopy .Values.config) $ours }}
[{{ $section }}]
{{- range $key, $value := $settings }}
{{ $key }} = {{ if kindIs "string" $value }}{{ toJson $value }}{{ else }}{{ int64 $value }}{{ end }}
{{- end }}
{{ end -}}
{{- end -}}

{{/* An environment variable of an entry of `secrets`; nothing where the entry has no key. */}}
{{- define "doorward.secretEnv" -}}
{{- $entry := index .root.Values.secrets .entry -}}
{{- if $entry.key -}}
{{- $secret := $entry.existingSecret | default .root.Values.secrets.existingSecret -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ required (printf "secrets.%s: name a Secret, here or for all as secrets.existingSecret" .entry) $secret }}
      key: {{ $entry.key }}
{{ end -}}
{{- end -}}

{{- define "doorward.serverEnv" -}}
{{ include "doorward.secretEnv" (dict "root" . "entry" "database" "name" "DOORWARD_DATABASE__URL") -}}
{{ include "doorward.secretEnv" (dict "root" . "entry" "directDatabase" "name" "DOORWARD_DATABASE__DIRECT_URL") -}}
{{ include "doorward.secretEnv" (dict "root" . "entry" "redis" "name" "DOORWARD_REDIS__URL") -}}
{{ include "doorward.secretEnv" (dict "root" . "entry" "operatorToken" "name" "DOORWARD_AUTH__OPERATOR_TOKEN") -}}
{{ include "doorward.secretEnv" (dict "root" . "entry" "rootKey" "name" "DOORWARD_KEYS__ROOT") -}}
{{ include "doorward.secretEnv" (dict "root" . "entry" "previousRootKey" "name" "DOORWARD_KEYS__PREVIOUS") -}}
{{ with .Values.extraEnv }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Migrations know the database, and neither the operator's token nor the keys. */}}
{{- define "doorward.migrationEnv" -}}
{{- $entry := "database" -}}
{{- if .Values.secrets.migrationDatabase.key -}}
{{- $entry = "migrationDatabase" -}}
{{- else if .Values.secrets.directDatabase.key -}}
{{- $entry = "directDatabase" -}}
{{- end -}}
{{ include "doorward.secretEnv" (dict "root" . "entry" $entry "name" "DOORWARD_DATABASE__URL") -}}
{{- end -}}

{{- define "doorward.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "doorward.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- with .Values.podSecurityContext }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What every pod of ours begins with. */}}
{{- define "doorward.pod" -}}
serviceAccountName: {{ include "doorward.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "doorward.podSecurity" . | nindent 2 }}
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
{{- end -}}

{{- define "doorward.migrate" -}}
name: migrate
image: {{ include "doorward.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [migrate, up, --config, /etc/doorward/config/doorward.toml]
env:
  {{- include "doorward.migrationEnv" . | trim | nindent 2 }}
securityContext:
  {{- include "doorward.containerSecurity" . | nindent 2 }}
{{- with .Values.migrations.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "doorward.settingsMounts" . | nindent 2 }}
{{- end -}}

{{/* What a migration needs to see. */}}
{{- define "doorward.settingsMounts" -}}
- {name: config, mountPath: /etc/doorward/config, readOnly: true}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "doorward.settingsVolumes" -}}
- name: config
  configMap:
    name: {{ include "doorward.fullname" . }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "doorward.volumeMounts" -}}
{{ include "doorward.settingsMounts" . }}
{{- if include "doorward.tlsSecret" . }}
- {name: tls, mountPath: /etc/doorward/tls, readOnly: true}
{{- if ne .Values.tls.clientAuth "none" }}
- {name: client-ca, mountPath: /etc/doorward/client-ca, readOnly: true}
{{- end }}
{{- end }}
{{- if .Values.servicesFile.existingSecret }}
- {name: services, mountPath: /etc/doorward/services, readOnly: true}
{{- end }}
{{- end -}}

{{/* Whole volumes and no subPath: a change of a Secret reaches the files. */}}
{{- define "doorward.volumes" -}}
{{ include "doorward.settingsVolumes" . }}
{{- with include "doorward.tlsSecret" . }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- if ne $.Values.tls.clientAuth "none" }}
- name: client-ca
  secret:
    secretName: {{ $.Values.tls.clientCa.existingSecret }}
    # No key of the authority, should it be in there.
    items:
      - {key: {{ $.Values.tls.clientCa.key }}, path: {{ $.Values.tls.clientCa.key }}}
{{- end }}
{{- end }}
{{- with .Values.servicesFile.existingSecret }}
- name: services
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end -}}
