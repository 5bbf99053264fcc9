package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/schema"
)

const (
	aCommit = "ce9a3c1404e8c91be604088670e93434c4253f03"
	aSecret = "hunter2hunter2"
)

// ofPipeline is what an environment says, with the variables that were left out.
func ofPipeline(env map[string]string) (author string, build entry.Build, omitted []string) {
	run := pipelineOf(func(name string) string { return env[name] })
	return run.author, run.build, run.omitted
}

// github is the environment of a run in GitHub Actions, with more variables.
func github(more ...string) map[string]string {
	env := map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "os/autosd", "GITHUB_RUN_ID": "7",
		"GITHUB_SHA": aCommit, "GITHUB_REF": "refs/pull/1/merge", "GITHUB_ACTOR": "dependabot[bot]",
	}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

func TestPipelineOf(t *testing.T) {
	full := entry.Build{System: "github-actions", URL: "https://github.com/os/autosd/actions/runs/7", Commit: aCommit, Ref: "refs/pull/1/merge"}
	with := func(change func(*entry.Build)) entry.Build {
		b := full
		change(&b)
		return b
	}
	for _, tt := range []struct {
		name    string
		env     map[string]string
		author  string
		build   entry.Build
		omitted string // the first variable that is left out
	}{
		{"nothing", nil, "", entry.Build{}, ""},
		{"the variables of no system", map[string]string{"BUILD_URL": "https://ci.example.com/1", "GIT_COMMIT": aCommit, "CI_JOB_URL": "https://ci.example.com"}, "", entry.Build{}, ""},
		{"CI that is false", map[string]string{"CI": "False"}, "", entry.Build{}, ""},
		{"CI", map[string]string{"CI": "1", "GITHUB_SHA": aCommit}, "", entry.Build{System: "ci"}, ""},
		{"GitHub", github(), "dependabot[bot]@github.com", full, ""},
		{"its own server", github("GITHUB_SERVER_URL", "https://git.example.com:8443/"), "dependabot[bot]@git.example.com", with(func(b *entry.Build) { b.URL = "https://git.example.com:8443/os/autosd/actions/runs/7" }), ""},
		{"a server of another scheme", github("GITHUB_SERVER_URL", "javascript:alert(1)"), "dependabot[bot]", with(func(b *entry.Build) { b.URL = "" }), "GITHUB_SERVER_URL"},
		{"a repository with a way out", github("GITHUB_REPOSITORY", "../../evil"), "dependabot[bot]@github.com", with(func(b *entry.Build) { b.URL = "" }), "GITHUB_REPOSITORY"},
		{"a branch of two lines", github("GITHUB_REF", "refs/heads/a\nb", "GITHUB_REF_NAME", "a"), "dependabot[bot]@github.com", with(func(b *entry.Build) { b.Ref = "a" }), "GITHUB_REF"},
		{"a second name that nobody needs", github("GITHUB_REF_NAME", "\x1b[2J"), "dependabot[bot]@github.com", full, ""},
		{"a branch for a shell", github("GITHUB_REF", "refs/heads/$(id);`id`"), "dependabot[bot]@github.com", with(func(b *entry.Build) { b.Ref = "refs/heads/$(id);`id`" }), ""},
		{"a branch that is long", github("GITHUB_REF", strings.Repeat("a", 257)), "dependabot[bot]@github.com", with(func(b *entry.Build) { b.Ref = "" }), "GITHUB_REF"},
		{"a branch that is a URL with a login", github("GITHUB_REF", "https://me:pw@git.example.com/x"), "dependabot[bot]@github.com", with(func(b *entry.Build) { b.Ref = "" }), "GITHUB_REF"},
		{"a branch that is not UTF-8", github("GITHUB_REF", "\xff"), "dependabot[bot]@github.com", with(func(b *entry.Build) { b.Ref = "" }), "GITHUB_REF"},
		{"a branch that is a token", github("GITHUB_REF", "glpat-0123456789abcdefghij"), "dependabot[bot]@github.com", with(func(b *entry.Build) { b.Ref = "" }), "GITHUB_REF"},
		{"an actor that turns letters", github("GITHUB_ACTOR", "a\u202eb"), "github-actions@github.com", full, "GITHUB_ACTOR"},
		{"a commit that is none", github("GITHUB_SHA", "HEAD"), "dependabot[bot]@github.com", with(func(b *entry.Build) { b.Commit = "" }), "GITHUB_SHA"},
		{
			"Jenkins", map[string]string{"JENKINS_URL": "https://ci.example.com/", "BUILD_URL": "http://ci.example.com/job/a/1/", "GIT_COMMIT": aCommit, "BRANCH_NAME": "main", "BUILD_USER_ID": "ada"},
			"ada@ci.example.com", entry.Build{System: "jenkins", URL: "http://ci.example.com/job/a/1/", Commit: aCommit, Ref: "main"}, "",
		},
		{
			"Tekton", map[string]string{"TEKTON_TASKRUN": "publish-1", "TEKTON_NAMESPACE": "os", "TEKTON_COMMIT": aCommit, "TEKTON_REF": "main"},
			"publish-1@os", entry.Build{System: "tekton", Commit: aCommit, Ref: "main"}, "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			author, build, omitted := ofPipeline(tt.env)
			if diff := cmp.Diff(tt.build, build); diff != "" {
				t.Errorf("build (-want +got)\n%s", diff)
			}
			if author != tt.author {
				t.Errorf("author %q, want %q", author, tt.author)
			}
			if (tt.omitted == "") != (len(omitted) == 0) || len(omitted) > 0 && !strings.HasPrefix(omitted[0], tt.omitted+" ") {
				t.Errorf("left out %q, want %q", omitted, tt.omitted)
			}
		})
	}
}

// What may be a secret is recorded nowhere, and not said either.
func TestPipelineTellsNoSecret(t *testing.T) {
	for address, want := range map[string]string{
		"https://ci.example.com/1":                                              "https://ci.example.com/1",
		"https://ci.example.com/1?view=log#L5":                                  "https://ci.example.com/1?view=log#L5",
		"https://me:" + aSecret + "@ci.example.com/1":                           "https://ci.example.com/1",
		"https://" + aSecret + "@ci.example.com/1":                              "https://ci.example.com/1",
		"https://ci.example.com/1?a=b&private_token=" + aSecret:                 "https://ci.example.com/1",
		"https://ci.example.com/1?X-Amz-Signature=" + aSecret:                   "https://ci.example.com/1",
		"https://ci.example.com/1?PASSWORD=" + aSecret:                          "https://ci.example.com/1",
		"https://ci.example.com/1?%74oken=" + aSecret:                           "https://ci.example.com/1",
		"https://ci.example.com/1;token=" + aSecret + "/log":                    "",
		"https://ci.example.com/1#access_token=" + aSecret:                      "https://ci.example.com/1",
		"https://ci.example.com/#/runs/1?token=" + aSecret:                      "https://ci.example.com/",
		"https://ci.example.com/ghp_" + strings.Repeat(aSecret, 2) + "abcdefgh": "",
		"https://ci.example.com/\n" + aSecret:                                   "",
		"https://ci.example.com/%zz" + aSecret:                                  "",
		"https://" + aSecret + ".example.com\\@evil.example.com":                "",
		"ftp://ci.example.com/" + aSecret:                                       "",
		"//ci.example.com/" + aSecret:                                           "",
		"https:" + aSecret:                                                      "",
		"https://ci.example.com/" + strings.Repeat("a", 1024):                   "",
		"https://ci.example.com/\"><script>alert(1)</script>":                   "https://ci.example.com/%22%3E%3Cscript%3Ealert%281%29%3C/script%3E",
	} {
		author, build, omitted := ofPipeline(map[string]string{"JENKINS_URL": address, "BUILD_URL": address})
		if build.URL != want {
			t.Errorf("%q: recorded %q, want %q", address, build.URL, want)
		}
		if all := author + build.URL + strings.Join(omitted, ""); strings.Contains(all, aSecret) {
			t.Errorf("%q: the secret is told: %q", address, all)
		}
		if (build.URL != address) != (len(omitted) > 0) && !strings.Contains(want, "%22") {
			t.Errorf("%q: noted %q", address, omitted)
		}
	}
}

// Whatever is in the environment, what is recorded of it can be published.
func FuzzPipelineOf(f *testing.F) {
	validator, err := schema.Compile(schema.EntryV1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("https://github.com", "os/autosd", "7", aCommit, "refs/heads/main")
	f.Add("https://me:pass@[::1%25eth0]/?token=1#?key=", "ü", "\u200b", "\xff", "\x1b[2J")
	f.Fuzz(func(t *testing.T, address, who, number, commit, ref string) {
		env := map[string]string{
			"GITHUB_SERVER_URL": address, "GITHUB_REPOSITORY": who, "GITHUB_RUN_ID": number, "GITHUB_SHA": commit, "GITHUB_REF": ref, "GITHUB_ACTOR": who,
			"CI_JOB_URL": address, "CI_PIPELINE_URL": ref, "CI_SERVER_HOST": number, "GITLAB_USER_LOGIN": who, "CI_COMMIT_SHA": commit, "CI_COMMIT_REF_NAME": ref,
			"BUILD_URL": address, "GIT_COMMIT": commit, "GIT_BRANCH": ref, "BUILD_USER_ID": who,
			"TEKTON_RUN_URL": address, "TEKTON_PIPELINERUN": who, "TEKTON_NAMESPACE": number, "TEKTON_COMMIT": commit, "TEKTON_REF": ref,
		}
		for _, system := range []string{"GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "TEKTON_TASKRUN"} {
			env[system] = "https://ci.example.com"
			author, build, _ := ofPipeline(env)
			delete(env, system)
			text, err := json.Marshal(map[string]any{
				"name": "a", "source": map[string]string{"type": "Manual"}, "publishedAt": "2026-03-01T12:00:00.000Z", "publishedBy": author, "build": build,
				"image": map[string]any{"reference": "r", "digest": "sha256:" + strings.Repeat("0", 64), "mediaType": "a/b", "size": 1},
			})
			if err != nil {
				t.Fatal(err)
			}
			var document any
			if err := json.Unmarshal(text, &document); err != nil {
				t.Fatal(err)
			}
			if problems := validator.Problems(document); len(problems) > 0 {
				t.Errorf("%s: %v: %s", system, problems, text)
			}
		}
	})
}
