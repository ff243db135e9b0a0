//go:build race

package argocd_test

// raceDetector makes everything about ten times slower.
const raceDetector = true
