package tekton

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const deploy = "../../examples/deploy/"

// Of the Prometheus operator and of kustomize only the members that the examples have
// are known here: any other is refused.
type (
	serviceMonitor struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Selector  metav1.LabelSelector `json:"selector"`
			Endpoints []struct {
				Port     string `json:"port"`
				Path     string `json:"path"`
				Interval string `json:"interval"`
			} `json:"endpoints"`
		} `json:"spec"`
	}
	prometheusRule struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Groups []struct {
				Name  string `json:"name"`
				Rules []struct {
					Alert       string            `json:"alert"`
					Expr        string            `json:"expr"`
					For         string            `json:"for"`
					Labels      map[string]string `json:"labels"`
					Annotations map[string]string `json:"annotations"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	kustomization struct {
		metav1.TypeMeta `json:",inline"`
		Resources       []string `json:"resources"`
		Images          []struct {
			Name   string `json:"name"`
			NewTag string `json:"newTag"`
		} `json:"images"`
	}
)

// objects decodes every object of a file, strictly, into the type of its kind.
func objects(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]any{}
	for reader := yamlutil.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text))); ; {
		document := make([]byte, 1<<20)
		n, err := reader.Read(document)
		if errors.Is(err, io.EOF) {
			return found
		}
		var meta metav1.TypeMeta
		if err == nil {
			err = yaml.Unmarshal(document[:n], &meta)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		kinds := map[string]any{
			"apps/v1 Deployment": &appsv1.Deployment{}, "v1 Service": &corev1.Service{},
			"networking.k8s.io/v1 NetworkPolicy": &networkingv1.NetworkPolicy{}, "policy/v1 PodDisruptionBudget": &policyv1.PodDisruptionBudget{},
			"monitoring.coreos.com/v1 ServiceMonitor": &serviceMonitor{}, "monitoring.coreos.com/v1 PrometheusRule": &prometheusRule{},
			"kustomize.config.k8s.io/v1beta1 Kustomization": &kustomization{},
		}
		into, ok := kinds[meta.APIVersion+" "+meta.Kind]
		if !ok {
			t.Fatalf("%s: %s %s is of no kind that is known here", name, meta.APIVersion, meta.Kind)
		}
		if err := yaml.UnmarshalStrict(document[:n], into); err != nil {
			t.Fatalf("%s: %s: %v", name, meta.Kind, err)
		}
		found[meta.Kind] = into
	}
}

// The kustomization names every manifest, and what they select is there.
func TestDeploymentManifests(t *testing.T) {
	top := objects(t, "kustomization.yaml")["Kustomization"].(*kustomization)
	files, err := os.ReadDir(deploy)
	if err != nil {
		t.Fatal(err)
	}
	var manifests []string
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".yaml") && file.Name() != "kustomization.yaml" {
			manifests = append(manifests, file.Name())
		}
	}
	if named := slices.Sorted(slices.Values(top.Resources)); !slices.Equal(named, manifests) {
		t.Errorf("the kustomization names %v, and there are %v", named, manifests)
	}
	all := map[string]any{}
	for _, name := range top.Resources {
		for kind, object := range objects(t, name) {
			all[kind] = object
		}
	}
	deployment, service := all["Deployment"].(*appsv1.Deployment), all["Service"].(*corev1.Service)
	container := deployment.Spec.Template.Spec.Containers[0]
	if len(top.Images) != 1 || !strings.HasPrefix(container.Image, top.Images[0].Name+":") {
		t.Errorf("the kustomization sets %v, and the image is %s", top.Images, container.Image)
	}
	selects := func(what string, selector *metav1.LabelSelector, of map[string]string) {
		t.Helper()
		if matcher, err := metav1.LabelSelectorAsSelector(selector); err != nil || matcher.Empty() || !matcher.Matches(labels.Set(of)) {
			t.Errorf("%s selects %v, not %v (%v)", what, selector, of, err)
		}
	}
	pods := deployment.Spec.Template.Labels
	selects("the Deployment", deployment.Spec.Selector, pods)
	selects("the Service", &metav1.LabelSelector{MatchLabels: service.Spec.Selector}, pods)
	policy := all["NetworkPolicy"].(*networkingv1.NetworkPolicy)
	selects("the NetworkPolicy", &policy.Spec.PodSelector, pods)
	budget := all["PodDisruptionBudget"].(*policyv1.PodDisruptionBudget)
	selects("the PodDisruptionBudget", budget.Spec.Selector, pods)
	if least := budget.Spec.MinAvailable.IntValue(); least < 1 || least >= int(*deployment.Spec.Replicas) {
		t.Errorf("%d of %d replicas stay, want at least one, and one that may go", least, *deployment.Spec.Replicas)
	}
	monitor := all["ServiceMonitor"].(*serviceMonitor)
	selects("the ServiceMonitor", &monitor.Spec.Selector, service.Labels)
	for what, port := range map[string]string{
		"the NetworkPolicy": policy.Spec.Ingress[0].Ports[0].Port.StrVal, "the Service": service.Spec.Ports[0].TargetPort.StrVal,
		"the ServiceMonitor": monitor.Spec.Endpoints[0].Port,
	} {
		if port != container.Ports[0].Name || port != service.Spec.Ports[0].Name {
			t.Errorf("%s names the port %q, the container %q", what, port, container.Ports[0].Name)
		}
	}
}

func TestDeploymentAlerts(t *testing.T) {
	top := objects(t, "kustomization.yaml")["Kustomization"].(*kustomization)
	var rules *prometheusRule
	for _, name := range top.Resources {
		if found, ok := objects(t, name)["PrometheusRule"]; ok {
			rules = found.(*prometheusRule)
		}
	}
	if rules == nil {
		t.Fatal("the kustomization names no alert rules")
	}
	alerts := rules.Spec.Groups[0].Rules
	for _, alert := range alerts {
		if alert.Expr == "" || alert.Labels["severity"] == "" || alert.Annotations["summary"] == "" {
			t.Errorf("%s says not what it is about: %+v", alert.Alert, alert)
		}
	}
	if len(alerts) < 4 {
		t.Errorf("%d alerts, want one for an old index, images, breakers and publications each", len(alerts))
	}
}
