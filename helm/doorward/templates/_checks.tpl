{{/* What a schema cannot say. Each refusal names the values and what to do. */}}
{{- define "doorward.checks" -}}
{{- with .Values -}}
{{- if and .tls.existingSecret .tls.certManager.enabled -}}
{{- fail "tls: existingSecret and certManager.enabled are both set; keep one" -}}
{{- end -}}
{{- if and (not (include "doorward.tlsSecret" $)) (ne .tls.clientAuth "none") -}}
{{- fail (printf "tls.clientAuth is %s, which needs TLS: set tls.existingSecret or tls.certManager" .tls.clientAuth) -}}
{{- end -}}
{{- if and (ne .tls.clientAuth "none") (not .tls.clientCa.existingSecret) -}}
{{- fail (printf "tls.clientAuth is %s: name the Secret of the clients' authorities, tls.clientCa.existingSecret" .tls.clientAuth) -}}
{{- end -}}
{{- if and (eq .tls.clientAuth "none") .tls.clientCa.existingSecret -}}
{{- fail "tls.clientCa is set and tls.clientAuth is none: nobody would be asked for a certificate; set it to optional or required" -}}
{{- end -}}
{{- if not (or .secrets.operatorToken.key .servicesFile.existingSecret (dig "auth" "oidc_issuer" "" .config)) -}}
{{- fail "nobody could call: set one of secrets.operatorToken.key, servicesFile.existingSecret and config.auth.oidc_issuer" -}}
{{- end -}}
{{- $auth := .config.auth | default dict -}}
{{- if ne (empty $auth.oidc_issuer) (empty $auth.oidc_audience) -}}
{{- fail "config.auth: oidc_issuer and oidc_audience go together; set both or neither" -}}
{{- end -}}
{{- if and $auth.oidc_jwks_url (not $auth.oidc_issuer) -}}
{{- fail "config.auth: oidc_jwks_url is set and oidc_issuer is not" -}}
{{- end -}}
{{- if and .serviceMonitor.enabled .networkPolicy.enabled (not .networkPolicy.metricsFrom) -}}
{{- fail "serviceMonitor: nobody may scrape; say who in networkPolicy.metricsFrom (for example a namespaceSelector of Prometheus's namespace)" -}}
{{- end -}}
{{- if and .autoscaling.enabled (gt (int64 .autoscaling.minReplicas) (int64 .autoscaling.maxReplicas)) -}}
{{- fail "autoscaling: minReplicas exceeds maxReplicas" -}}
{{- end -}}
{{- $lease := dig "cache" "lease_ms" 3000 .config | int64 -}}
{{- $poll := dig "cache" "poll_ms" 250 .config | int64 -}}
{{- if gt (mul 2 $poll) $lease -}}
{{- fail (printf "config.cache: lease_ms is %d and poll_ms %d; the lease must be twice as long at the least" $lease $poll) -}}
{{- end -}}
{{- end -}}
{{- end -}}
