package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/schema"
)

func TestProblems(t *testing.T) {
	validator, err := schema.Compile(schema.RemovalV1)
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	valid := fmt.Sprintf(`{"name": "a", "removedAt": "2026-03-01T10:00:00.000Z", "revision": %q}`, digest)
	for _, tt := range []struct {
		document string
		want     []schema.Problem
	}{
		{valid, nil},
		{`[]`, []schema.Problem{{"", `type: [] has type "array", want "object"`}}},
		{`null`, []schema.Problem{{"", `type: null has type "null", want "object"`}}},
		{`{"name": "a"}`, []schema.Problem{{"", `required: missing properties: ["removedAt" "revision"]`}}},
		{strings.Replace(valid, `"a"`, `7`, 1), []schema.Problem{{"/name", `type: 7 has type "integer", want "string"`}}},
		{strings.Replace(strings.Replace(valid, `"a"`, `"A"`, 1), digest, "x", 1), []schema.Problem{
			{"/name", `pattern: "A" does not match regular expression "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"`},
			{"/revision", `pattern: "x" does not match regular expression "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$"`},
		}},
	} {
		var document any
		if err := json.Unmarshal([]byte(tt.document), &document); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, validator.Problems(document)); diff != "" {
			t.Errorf("%s:\n%s", tt.document, diff)
		}
	}
}

// Pointers name the value that is wrong, and nothing that somebody wrote makes
// a reason long.
func TestProblemsArePointedAt(t *testing.T) {
	validator, err := schema.Compile(schema.EntryV1)
	if err != nil {
		t.Fatal(err)
	}
	document := map[string]any{
		"labels": map[string]any{"-": "", "a/b~c": strings.Repeat("x", 1<<20), strings.Repeat("k", 1<<20): ""},
		"tags":   []any{"a", "a b"}, "metadata": map[string]any{"targets": []any{map[string]any{"name": "x"}, map[string]any{}}},
		"name": "a", "publishedAt": "2026-03-01T10:00:00.000Z", "source": map[string]any{"type": "Manual"},
		"image": map[string]any{"reference": "r", "digest": "sha256:" + strings.Repeat("0", 64), "mediaType": "a/b", "size": -1.0},
	}
	var got []string
	for _, problem := range validator.Problems(document) {
		got = append(got, problem.Pointer)
		if len(problem.Reason) > 300 || problem.Reason == "" {
			t.Errorf("%s: a reason of %d bytes", problem.Pointer, len(problem.Reason))
		}
	}
	want := []string{"/image/size", "/labels/-", "/labels/a~1b~0c", "/labels/" + strings.Repeat("k", 200) + "…", "/metadata/targets/1", "/tags/1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProblemsOfAlternatives(t *testing.T) {
	validator, err := schema.Compile(schema.PolicyV1)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{"version": 1}`:                "/: missing: one of rules, default",
		`{"version": 1, "rules": [{}]}`: "/rules/0: missing: one of keys, identities",
		`{"version": 1, "rules": [{"identities": [{"subject": "a"}]}]}`:                                      "/rules/0/identities/0: missing: one of issuer, issuerRegexp",
		`{"version": 1, "rules": [{"identities": [{"subject": "a", "issuer": "b", "subjectRegexp": "c"}]}]}`: "/rules/0/identities/0: only one is wanted of subject, subjectRegexp",
		`{"version": 1, "rule": []}`:                                          `/: missing: one of rules, default`,
		`{"version": 1, "default": {"keys": [{"pem": "x"}], "mood": "warn"}}`: `/default: unexpected additional properties ["mood"]`,
	} {
		var document any
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, problem := range validator.Problems(document) {
			pointer := problem.Pointer
			if pointer == "" {
				pointer = "/"
			}
			got = append(got, pointer+": "+problem.Reason)
		}
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}
