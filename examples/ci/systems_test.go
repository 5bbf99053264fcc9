package ci

import (
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var systems = []system{{"GitHub", runGitHub}, {"GitLab", runGitLab}, {"Tekton", runTekton}}

// names returns what inputs are called elsewhere.
func (in inputs) names(rename func(string) string) map[string]string {
	all := map[string]string{}
	for name, value := range in {
		all[rename(name)] = value
	}
	return all
}

type gitHubAction struct {
	Name, Description string
	Inputs            map[string]struct {
		Description string
		Default     *string
		Required    bool
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []struct {
			ID, Shell, Run string
			Env            map[string]string
		}
	}
}

var gitHubExpression = regexp.MustCompile(`\$\{\{ ([^}]*) \}\}`)

func runGitHub(t *testing.T, j *job) outcome {
	t.Helper()
	var action gitHubAction
	decode(t, "github/action.yml", &action)
	step, dir := action.Runs.Steps[0], t.TempDir()
	if action.Runs.Using != "composite" || len(action.Runs.Steps) != 1 || step.Shell != "bash" {
		t.Fatalf("runs %+v, want one step of bash", action.Runs)
	}
	values := map[string]string{}
	for name, input := range action.Inputs {
		if input.Default != nil {
			values["inputs."+name] = *input.Default
		}
	}
	maps.Copy(values, j.inputs.names(func(name string) string { return "inputs." + name }))
	env := map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "automotive/autosd", "GITHUB_RUN_ID": j.number,
		"GITHUB_SHA": "ce9a3c1404e8c91be604088670e93434c4253f03", "GITHUB_REF": "refs/heads/" + j.ref, "GITHUB_ACTOR": "octocat",
		"GITHUB_OUTPUT": filepath.Join(dir, "output"), "GITHUB_WORKSPACE": dir,
	}
	for name, value := range step.Env {
		env[name] = fill(t, value, gitHubExpression, values)
	}
	maps.Copy(env, j.env)
	if strings.Contains(step.Run, "${{") {
		t.Error("the text of the script depends on what it is given")
	}
	write(t, filepath.Join(dir, "step.sh"), step.Run)
	write(t, env["GITHUB_OUTPUT"], "")
	// As the runner does for shell: bash.
	code, printed := j.world.execute(dir, env, "", "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", filepath.Join(dir, "step.sh"))
	set := variables(t, read(env["GITHUB_OUTPUT"]), "")
	outputs := map[string]string{}
	for name, output := range action.Outputs {
		value := map[string]string{}
		for of, is := range set {
			value["steps."+step.ID+".outputs."+of] = is
		}
		if len(set) > 0 {
			outputs[name] = fill(t, output.Value, gitHubExpression, value)
		}
	}
	return outcome{code, withoutCommands(t, printed), outputs}
}

// withoutCommands returns what a step printed, and checks that the runner takes none of
// it for a command.
func withoutCommands(t *testing.T, printed string) string {
	t.Helper()
	var b strings.Builder
	stopped := ""
	for line := range strings.Lines(printed) {
		text := strings.TrimSpace(line)
		token, stop := strings.CutPrefix(text, "::stop-commands::")
		switch {
		case stopped == "" && stop:
			stopped = token
		case stopped != "" && text == "::"+stopped+"::":
			stopped = ""
		case stopped == "" && strings.HasPrefix(text, "::"):
			t.Errorf("a command to the runner: %q", line)
		default:
			b.WriteString(line)
		}
	}
	if stopped != "" {
		t.Error("commands to the runner are not taken again after the step")
	}
	return b.String()
}

// shellOfImage is a variable of these tests: the shell that GitLab finds in the image
// of a job, else bash.
const shellOfImage = "SHELL_OF_IMAGE"

func runGitLab(t *testing.T, j *job) outcome {
	t.Helper()
	var jobs map[string]struct {
		IDTokens  map[string]struct{ Aud string } `yaml:"id_tokens"`
		Variables map[string]string
		Script    []string
		Artifacts struct {
			Reports struct{ Dotenv string }
		}
	}
	decode(t, "gitlab/publish.yml", &jobs)
	template, dir := jobs[".caib-publish"], t.TempDir()
	if len(jobs) != 1 || len(template.Script) != 1 {
		t.Fatalf("%d jobs, want one with one script", len(jobs))
	}
	env := map[string]string{
		"CI": "true", "GITLAB_CI": "true", "CI_JOB_URL": "https://gitlab.example.com/automotive/autosd/-/jobs/" + j.number, "CI_SERVER_HOST": "gitlab.example.com",
		"CI_COMMIT_SHA": "ce9a3c1404e8c91be604088670e93434c4253f03", "CI_COMMIT_REF_NAME": j.ref, "GITLAB_USER_LOGIN": "octocat", "SIGSTORE_ID_TOKEN": "none",
	}
	maps.Copy(env, template.Variables)
	maps.Copy(env, j.inputs.names(func(name string) string { return "CAIB_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }))
	maps.Copy(env, j.env)
	shell := j.env[shellOfImage]
	if shell == "" {
		shell = "bash"
	}
	code, printed := j.world.execute(dir, env, "set -e\n"+template.Script[0]+"\n", shell)
	return outcome{code, printed, variables(t, read(filepath.Join(dir, template.Artifacts.Reports.Dotenv)), "CAIB_ENTRY_")}
}

var tektonVariable = regexp.MustCompile(`\$\(((?:params|workspaces|results|context)\.[A-Za-z0-9.-]*)\)`)

func runTekton(t *testing.T, j *job) outcome {
	t.Helper()
	var task struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   map[string]string
		Spec       struct {
			Description string
			Params      []struct {
				Name, Description string
				Default           *string
			}
			Workspaces []map[string]any
			Results    []struct{ Name, Description string }
			Steps      []struct {
				Name, Image, Script string
				SecurityContext     map[string]any `yaml:"securityContext"`
				Env                 []struct{ Name, Value string }
			}
		}
	}
	decode(t, "tekton/task.yaml", &task)
	step, dir := task.Spec.Steps[0], t.TempDir()
	values := map[string]string{
		"context.taskRun.name": "publish-" + j.number, "context.taskRun.namespace": "automotive",
		"workspaces.dockerconfig.path": "", "workspaces.signing-key.path": j.env["WORKSPACE_SIGNING_KEY"],
	}
	given := maps.Clone(j.inputs)
	delete(given, "sign-key") // it is in the workspace
	maps.Copy(given, inputs{"ref": j.ref, "commit": "ce9a3c1404e8c91be604088670e93434c4253f03", "run-url": "https://tekton.example.com/#/runs/" + j.number, "caib-image": "none"})
	for _, param := range task.Spec.Params {
		value, ok := given[param.Name]
		if !ok && param.Default != nil {
			value = *param.Default
		}
		values["params."+param.Name] = value
	}
	env := map[string]string{}
	for _, variable := range step.Env {
		env[variable.Name] = fill(t, variable.Value, tektonVariable, values)
	}
	env["HOME"] = j.world.home // of this test, not of the container
	paths := map[string]string{}
	for _, result := range task.Spec.Results {
		paths["results."+result.Name+".path"] = filepath.Join(dir, "result-"+result.Name)
	}
	write(t, filepath.Join(dir, "script"), fill(t, step.Script, tektonVariable, paths))
	maps.Copy(env, j.env)
	code, printed := j.world.execute(dir, env, "", filepath.Join(dir, "script"))
	outputs := map[string]string{}
	for _, result := range task.Spec.Results {
		if value := read(paths["results."+result.Name+".path"]); value != "" {
			outputs[result.Name] = value
		}
	}
	return outcome{code, printed, outputs}
}
