{{- define "socketflow.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "socketflow.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "socketflow.labels" -}}
{{ include "socketflow.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "socketflow.serviceAccount" -}}
{{- default (ternary (include "socketflow.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The collector's configuration: what is in values, the receiver, and k8s_attributes if it is wanted. */}}
{{- define "socketflow.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $receiver := mergeOverwrite (dict "mode" .Values.mode) (deepCopy .Values.receiver) -}}
{{- $_ := set $config "receivers" (merge (dict "socketflow" $receiver) (default dict $config.receivers)) -}}
{{- with $config.exporters.otlp_grpc -}}
{{- if not (hasKey . "tls") -}}
{{- $_ := set . "tls" (dict "insecure" $.Values.otlp.insecure) -}}
{{- end -}}
{{- end -}}
{{- if .Values.k8sAttributes.enabled -}}
{{- $processor := dict "auth_type" "serviceAccount" "filter" (dict "node_from_env_var" "K8S_NODE_NAME") "extract" .Values.k8sAttributes.extract -}}
{{- $sources := list (dict "sources" (list (dict "from" "resource_attribute" "name" "k8s.pod.uid"))) -}}
{{- $sources = append $sources (dict "sources" (list (dict "from" "resource_attribute" "name" "container.id"))) -}}
{{- $_ := set $processor "pod_association" $sources -}}
{{- $_ := set $config "processors" (set $config.processors "k8s_attributes" $processor) -}}
{{- range $name, $pipeline := $config.service.pipelines -}}
{{- if $pipeline -}}
{{- $all := default list $pipeline.processors -}}
{{- $_ := set $pipeline "processors" (concat (slice $all 0 (min 1 (len $all))) (list "k8s_attributes") (slice $all (min 1 (len $all)))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $config }}
{{- end -}}
