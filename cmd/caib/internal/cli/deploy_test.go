package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const deploy = "../../../../examples/deploy/"

// parses reports what is wrong with the arguments of a caib command.
func parses(args []string) error {
	command, rest, err := newRoot(&app{system: System()}).Find(args)
	if err == nil {
		err = command.ParseFlags(rest)
	}
	if err == nil {
		err = command.ValidateArgs(command.Flags().Args())
	}
	return err
}

// The command lines of the deployments parse, and what they promise holds.
func TestDeployments(t *testing.T) {
	unit, err := os.ReadFile(deploy + "caib.service")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/caib (.*)$`).FindSubmatch(unit)
	if line == nil {
		t.Fatal("the unit starts nothing")
	}
	if err := parses(strings.Fields(string(line[1]))); err != nil {
		t.Errorf("%s: %v", line[1], err)
	}
	text, err := os.ReadFile(deploy + "kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var object struct {
			Kind string
			Spec struct {
				Template struct {
					Spec struct {
						SecurityContext struct {
							RunAsNonRoot bool `yaml:"runAsNonRoot"`
						} `yaml:"securityContext"`
						Containers []struct {
							Args            []string
							SecurityContext struct {
								ReadOnlyRootFilesystem bool `yaml:"readOnlyRootFilesystem"`
							} `yaml:"securityContext"`
							ReadinessProbe, LivenessProbe struct {
								HTTPGet struct{ Path string } `yaml:"httpGet"`
							}
						}
					}
				}
			}
		}
		if decoder.Decode(&object) != nil {
			break
		}
		kinds = append(kinds, object.Kind)
		for _, c := range object.Spec.Template.Spec.Containers {
			if err := parses(c.Args); err != nil {
				t.Errorf("%v: %v", c.Args, err)
			}
			if !c.SecurityContext.ReadOnlyRootFilesystem || !object.Spec.Template.Spec.SecurityContext.RunAsNonRoot {
				t.Error("the container may write to its root, or be root")
			}
		}
	}
	if !slices.Equal(kinds, []string{"Deployment", "Service"}) {
		t.Errorf("kinds %v", kinds)
	}
}

// The dashboard and the alerts ask for metrics that the server has.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(deploy + "grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Fatal("the dashboard is not JSON")
	}
	checkMetrics(t, text, 10)
	if text, err = os.ReadFile(deploy + "monitoring.yaml"); err != nil {
		t.Fatal(err)
	}
	checkMetrics(t, text, 5)
}

// checkMetrics checks that the server has the metrics that a text names, at least so
// many.
func checkMetrics(t *testing.T, text []byte, least int) {
	t.Helper()
	var sources []byte
	for _, file := range []string{"metrics.go", "gauges.go"} {
		source, err := os.ReadFile("../../../../pkg/server/" + file)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, source...)
	}
	found := regexp.MustCompile(`caib_([a-z_]+?)(_bucket|_count)?\b`).FindAllSubmatch(text, -1)
	for _, metric := range found {
		if !bytes.Contains(sources, []byte(`"`+string(metric[1])+`"`)) {
			t.Errorf("the server has no metric caib_%s", metric[1])
		}
	}
	if len(found) < least {
		t.Errorf("%d metrics are asked for, want at least %d", len(found), least)
	}
}
