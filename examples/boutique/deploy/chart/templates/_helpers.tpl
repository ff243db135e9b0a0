{{- define "boutique.labels" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/part-of: boutique
{{- end }}

{{/* The reference of an image: by tag, by digest, or by both. */}}
{{- define "boutique.image" -}}
{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
