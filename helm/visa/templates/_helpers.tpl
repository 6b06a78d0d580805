{{/* Names are RELEASE-hub and so on. Labels that select never change: a pod is replaced only when it has to be. */}}
{{- define "visa.selector" -}}
app.kubernetes.io/name: visa
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "visa.labels" -}}
{{ include "visa.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "visa.metadata" -}}
name: {{ .root.Release.Name }}-{{ .name | default .component }}
labels: {{- include "visa.labels" . | nindent 2 }}
{{- end }}

{{/* (dict "root" $ "name" "hub" "image" .Values.hub.image) */}}
{{- define "visa.image" -}}
{{ .image.name | default (printf "%s/%s" (trimSuffix "/" .root.Values.images.prefix) .name) }}:{{ .image.tag | default .root.Values.images.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- define "visa.pullPolicy" -}}
{{ .image.pullPolicy | default .root.Values.images.pullPolicy }}
{{- end }}

{{/* Names of Secrets, whether they were given as texts or as objects; YAML list of objects. */}}
{{- define "visa.pullSecrets" -}}
{{- $names := list }}
{{- range .Values.imagePullSecrets }}{{ $names = append $names (kindIs "map" . | ternary . (dict "name" .)) }}{{ end }}
{{- if .Values.imagePullSecret.create }}{{ $names = append $names (dict "name" (printf "%s-image-pull" .Release.Name)) }}{{ end }}
{{- if $names }}{{ toYaml $names }}{{ end }}
{{- end }}

{{/* Environment variables: a mapping of name to text or to {valueFrom: …}, or Kubernetes' own list. */}}
{{- define "visa.env" -}}
{{- if kindIs "slice" . }}
{{- if . }}{{ toYaml . }}{{ end }}
{{- else }}
{{- range $name, $value := . }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Fits pod security `restricted`. */}}
{{- define "visa.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65500
runAsGroup: 65500
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "visa.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What all our pods have: (dict "root" $ "section" .Values.hub); with "hook" those that come before the release. */}}
{{- define "visa.pod" -}}
enableServiceLinks: false
{{- $hooks := and .hook .root.Values.imagePullSecret.create }}
{{- $secrets := list }}
{{- range include "visa.pullSecrets" .root | fromYamlArray }}{{ $secrets = append $secrets . }}{{ end }}
{{- if $hooks }}{{ $secrets = append $secrets (dict "name" (printf "%s-image-pull-hook" .root.Release.Name)) }}{{ end }}
{{- with $secrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .section.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .section.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .section.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .section.extraPodSpec }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* facility.yaml, and catalogue.yaml beside it. */}}
{{- define "visa.facilityFiles" -}}
facility.yaml: |
  {{- toYaml .Values.facility | nindent 2 }}
{{- with .Values.catalogue }}
catalogue.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "visa.secret" -}}
{{ .Values.hub.existingSecret | default (printf "%s-secrets" .Release.Name) }}
{{- end }}
{{- define "visa.serviceAccount" -}}
{{ .Values.hub.serviceAccount.name | default (.Values.hub.serviceAccount.create | ternary (printf "%s-hub" .Release.Name) "default") }}
{{- end }}
{{- define "visa.base" -}}
{{ printf "/%s/" (trimAll "/" .Values.hub.baseUrl) | replace "//" "/" }}
{{- end }}
{{/* Scheme, host pattern and port of instances' own hosts, as https://*.visa.example.org; nothing without them. */}}
{{- define "visa.instances" -}}
{{- with .Values.instances.host }}
{{- $public := urlParse $.Values.hub.publicUrl }}
{{- $port := regexFind ":[0-9]+$" $public.host }}
{{- printf "%s://%s%s" $public.scheme . $port }}
{{- end }}
{{- end }}
{{/* A list of hosts, with the instances' where any are given; JSON. */}}
{{- define "visa.withInstances" -}}
{{- $hosts := .hosts }}
{{- if and $hosts .root.Values.instances.host (not (has .root.Values.instances.host $hosts)) }}
{{- $hosts = append $hosts .root.Values.instances.host }}
{{- end }}
{{- $hosts | toJson }}
{{- end }}
{{- define "visa.priorityClass" -}}
{{ printf "%s-%s-%s" .root.Release.Namespace .root.Release.Name .name }}
{{- end }}
{{/* Whether the state folder is on a claim. */}}
{{- define "visa.keepsState" -}}
{{- if or (eq .Values.hub.db.type "sqlite-pvc") (eq .Values.store.type "sqlite-pvc") }}true{{ end }}
{{- end }}

{{/* Secret and key of a database's password, as `name: …, key: …`, or nothing. */}}
{{- define "visa.passwordOf" -}}
{{- if .section.existingSecret.name -}}
name: {{ .section.existingSecret.name }}
key: {{ .section.existingSecret.key }}
{{- else if .section.password -}}
name: {{ .root.Release.Name }}-hub
key: {{ .name }}
{{- end }}
{{- end }}

{{/* Images that people wait for, each once: environments, the gateway, and what the operator adds. */}}
{{- define "visa.images" -}}
{{- $images := list (include "visa.image" (dict "root" . "name" "gateway" "image" .Values.gateway.image)) }}
{{- range $environment := .Values.facility.environments }}
{{- with $environment.kubernetes }}
{{- $images = append $images (empty .digest | ternary .image (printf "%s@%s" .image .digest)) }}
{{- end }}
{{- end }}
{{- range $image := .Values.prePuller.extraImages }}{{ $images = append $images (printf "%s:%s" $image.name $image.tag) }}{{ end }}
{{- $images | uniq | toJson }}
{{- end }}
{{- define "visa.environmentPullSecrets" -}}
{{- $names := list }}
{{- range .Values.facility.environments }}{{ with .kubernetes }}{{ range .pull_secrets }}{{ $names = append $names . }}{{ end }}{{ end }}{{ end }}
{{- $names | uniq | toJson }}
{{- end }}

{{/* Mistakes that the schema cannot see. */}}
{{- define "visa.check" -}}
{{- if not .Values.facility }}{{ fail "facility is empty: give your facility.yaml as the value `facility` (docs/operators/helm.md)" }}{{ end }}
{{- if and (gt (int .Values.portal.replicas) 0) (ne .Values.store.type "postgres") }}
{{- fail "portal.replicas needs PostgreSQL: set store.type to postgres and store.url, or portal.replicas to 0" }}
{{- end }}
{{- if and (eq .Values.hub.db.type "postgres") (not .Values.hub.db.url) }}{{ fail "hub.db.type is postgres: give hub.db.url" }}{{ end }}
{{- if and (eq .Values.store.type "postgres") (not .Values.store.url) }}{{ fail "store.type is postgres: give store.url" }}{{ end }}
{{- if and .Values.store.url (eq .Values.store.url .Values.hub.db.url) }}{{ fail "hub.db.url and store.url are the same database: give VISA's store one of its own" }}{{ end }}
{{- if and .Values.proxy.https.enabled (eq .Values.proxy.https.type "secret") (not .Values.proxy.https.secret.name) }}{{ fail "proxy.https is enabled: give proxy.https.secret.name" }}{{ end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.gateway.name) }}{{ fail "httpRoute is enabled: give httpRoute.gateway.name" }}{{ end }}
{{- if dig "JupyterHub" "subdomain_host" "" .Values.hub.config }}
{{- fail "hub.config.JupyterHub.subdomain_host gives hosts to people, who have one for all their instances: leave it out and give each instance a host of its own with instances.host (docs/operators/hosts.md)" }}
{{- end }}
{{- with .Values.instances.host }}
{{- if not $.Values.hub.publicUrl }}{{ fail "instances.host needs hub.publicUrl, the address of the hub itself" }}{{ end }}
{{- if $.Values.ingress.enabled }}
{{- $named := list }}{{ $all := false }}
{{- range $.Values.ingress.tls }}{{ $named = concat $named (.hosts | default list) }}{{ if not .hosts }}{{ $all = true }}{{ end }}{{ end }}
{{- if and $.Values.ingress.tls (not $all) (not (has . $named)) }}
{{- fail (printf "ingress.tls names no certificate for instances.host: give an entry whose hosts have %q" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.scheduling.userPlaceholder }}
{{- if and .enabled (gt (int .replicas) 0) (not .resources) (not (hasKey ($.Values.facility.flavours | default dict) .flavour)) }}
{{- fail "scheduling.userPlaceholder.replicas: give the flavour of facility.yaml that a placeholder is as large as, or resources" }}
{{- end }}
{{- end }}
{{- end }}
