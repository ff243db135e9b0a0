//go:build !race

package argocd_test

const raceDetector = false
