// Package tekton checks the Task of examples/ci and the manifests of examples/deploy
// by the own types of Tekton and Kubernetes.
package tekton

import (
	"os"
	"slices"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"
)

// The Task has no member that Tekton does not know, and passes what its admission
// controller checks, uses of variables included.
func TestTaskIsValid(t *testing.T) {
	text, err := os.ReadFile("../../examples/ci/tekton/task.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var task v1.Task
	if err := yaml.UnmarshalStrict(text, &task); err != nil {
		t.Fatal(err)
	}
	task.SetDefaults(t.Context())
	if err := task.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if task.APIVersion != "tekton.dev/v1" || task.Kind != "Task" || len(task.Spec.Steps) != 1 {
		t.Errorf("%s %s with %d steps, want a tekton.dev/v1 Task with one", task.APIVersion, task.Kind, len(task.Spec.Steps))
	}
	var results []string
	for _, result := range task.Spec.Results {
		results = append(results, result.Name)
	}
	if want := []string{"name", "digest", "revision", "outcome"}; !slices.Equal(results, want) {
		t.Errorf("results %v, want %v", results, want)
	}
}
