// Package gitleaks scans for secrets with the gitleaks engine, in process.
package gitleaks
