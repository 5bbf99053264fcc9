// Package ci holds nothing but the test of what lies beside it: a composite action for
// GitHub, a job for GitLab and a task for Tekton, which publish an image to a catalog
// and sign its entry. The test runs their scripts as those systems do.
package ci
