package cli

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/entry"
)

// originFlags say who writes to the catalog, and from where.
type originFlags struct {
	author     string
	noMetadata bool
	set        func(flag string) bool // reports whether the flag was given
}

func (o *originFlags) register(flags *pflag.FlagSet) {
	o.set = flags.Changed
	flags.StringVar(&o.author, "author", "", "who to record as the publisher; in a pipeline whoever started it, else you and this host")
	flags.BoolVar(&o.noMetadata, "no-ci-metadata", false, "record nothing of the pipeline that this runs in")
}

// resolve returns who to record as the publisher, "" for the user of this machine, and
// the run of a pipeline that the environment tells of.
func (o *originFlags) resolve(a *app) (author string, build entry.Build, err error) {
	if o.set("author") {
		switch reason := unprintable(o.author, maxShort); {
		case o.author == "":
			return "", build, fmt.Errorf("%w: --author: want a name", entry.ErrInvalid)
		case reason != "":
			return "", build, fmt.Errorf("%w: --author: %s", entry.ErrInvalid, reason)
		case a.settings.server != "":
			return "", build, withHint(fmt.Errorf("%w: --author: the server %s records the owner of the token", entry.ErrInvalid, a.settings.server),
				"leave it out, or publish to the registry itself: give --catalog, and no --server")
		}
	}
	if o.noMetadata {
		return o.author, build, nil
	}
	run := pipelineOf(a.system.Getenv)
	for _, reason := range run.omitted {
		a.note("note: %s", reason)
	}
	return cmp.Or(o.author, run.author), run.build, nil
}

// maxShort bounds names and branches, maxURL addresses, as the entry document does.
const (
	maxShort = 256
	maxURL   = 1024
)

// pipelineRun is what an environment says of the run of a pipeline. All of it may be
// the word of whoever named a branch.
type pipelineRun struct {
	build   entry.Build
	author  string   // "" where it does not say
	omitted []string // variables that were left out, and why; never what they hold

	getenv func(string) string
}

// pipelineOf reads the environment of a pipeline: the variables that its system
// documents, and no others.
func pipelineOf(getenv func(string) string) pipelineRun {
	run := pipelineRun{getenv: getenv}
	isSet := func(name string) bool {
		switch strings.ToLower(getenv(name)) {
		case "", "false", "0", "no":
			return false
		}
		return true
	}
	switch {
	case isSet("GITHUB_ACTIONS"):
		run.github()
	case isSet("GITLAB_CI"):
		run.gitlab()
	case isSet("JENKINS_URL"):
		run.jenkins()
	case isSet("TEKTON_TASKRUN"), isSet("TEKTON_PIPELINERUN"):
		run.tekton()
	case isSet("CI"):
		run.build.System = "ci"
	}
	return run
}

// lazily is a pattern that is compiled where it is first used: most commands use none
// of these.
func lazily(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

var (
	repositoryForm = lazily(`^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$`)
	numberForm     = lazily(`^[0-9]{1,20}$`)
	commitForm     = lazily(`^[0-9a-f]{7,64}$`)
	urlForm        = lazily(`^https?://[A-Za-z0-9.:_\[\]-]+([/?#][A-Za-z0-9!#$%&'()*+,./:;=?@\[\]_~-]*)?$`)
)

func (r *pipelineRun) github() {
	r.build.System = "github-actions"
	server := r.url("GITHUB_SERVER_URL")
	repository, id := r.matching("GITHUB_REPOSITORY", repositoryForm, "want OWNER/NAME"), r.matching("GITHUB_RUN_ID", numberForm, "want a number")
	if server != "" && repository != "" && id != "" {
		r.build.URL = strings.TrimSuffix(server, "/") + "/" + repository + "/actions/runs/" + id
	}
	r.build.Commit = r.commit("GITHUB_SHA")
	r.build.Ref = firstSet(r.text, "GITHUB_REF", "GITHUB_REF_NAME")
	r.at(cmp.Or(r.text("GITHUB_ACTOR"), r.build.System), hostOf(server))
}

func (r *pipelineRun) gitlab() {
	r.build.System = "gitlab-ci"
	r.build.URL = firstSet(r.url, "CI_JOB_URL", "CI_PIPELINE_URL")
	r.build.Commit = r.commit("CI_COMMIT_SHA")
	r.build.Ref = r.text("CI_COMMIT_REF_NAME")
	r.at(cmp.Or(r.text("GITLAB_USER_LOGIN"), r.build.System), cmp.Or(r.text("CI_SERVER_HOST"), hostOf(r.build.URL)))
}

func (r *pipelineRun) jenkins() {
	r.build.System = "jenkins"
	r.build.URL = r.url("BUILD_URL")
	r.build.Commit = r.commit("GIT_COMMIT")
	r.build.Ref = firstSet(r.text, "GIT_BRANCH", "BRANCH_NAME")
	r.at(cmp.Or(r.text("BUILD_USER_ID"), r.build.System), hostOf(r.url("JENKINS_URL")))
}

// tekton reads what the Task of examples/ci sets: Tekton sets nothing itself.
func (r *pipelineRun) tekton() {
	r.build.System = "tekton"
	r.build.URL = r.url("TEKTON_RUN_URL")
	r.build.Commit = r.commit("TEKTON_COMMIT")
	r.build.Ref = r.text("TEKTON_REF")
	r.at(cmp.Or(firstSet(r.text, "TEKTON_PIPELINERUN", "TEKTON_TASKRUN"), r.build.System), r.text("TEKTON_NAMESPACE"))
}

// at makes the author of a name and of where it means something.
func (r *pipelineRun) at(name, place string) {
	r.author = name
	if place != "" {
		r.author += "@" + place
	}
	if utf8.RuneCountInString(r.author) > maxShort {
		r.author = name
	}
}

// firstSet returns what the first of some variables holds that is not empty. Those after
// it are not looked at.
func firstSet(read func(name string) string, names ...string) string {
	for _, name := range names {
		if value := read(name); value != "" {
			return value
		}
	}
	return ""
}

// omit notes why a variable is left out.
func (r *pipelineRun) omit(name, reason string) string {
	r.omitted = append(r.omitted, name+" is left out: "+reason)
	return ""
}

// text returns a variable that is text for people.
func (r *pipelineRun) text(name string) string {
	value := r.getenv(name)
	if reason := cmp.Or(unprintable(value, maxShort), secretive(value)); reason != "" {
		return r.omit(name, reason)
	}
	return value
}

func (r *pipelineRun) matching(name string, form func() *regexp.Regexp, want string) string {
	value := r.text(name)
	if value != "" && !form().MatchString(value) {
		return r.omit(name, want)
	}
	return value
}

func (r *pipelineRun) commit(name string) string {
	value := strings.ToLower(r.getenv(name))
	if value != "" && !commitForm().MatchString(value) {
		return r.omit(name, "want 7 to 64 hexadecimal digits")
	}
	return value
}

// url returns an address without what may be a secret: a user, and queries and
// fragments with a token.
func (r *pipelineRun) url(name string) string {
	value := r.getenv(name)
	if value == "" {
		return ""
	}
	const want = "want an http or https URL of at most 1024 characters"
	address, err := url.Parse(value)
	if err != nil || address.Host == "" || len(value) > maxURL {
		return r.omit(name, want)
	}
	cut := address.User != nil
	address.User = nil
	if hasSecret(address.RawQuery) {
		address.RawQuery, cut = "", true
	}
	if hasSecret(address.EscapedFragment()) {
		address.Fragment, address.RawFragment, cut = "", "", true
	}
	if _, parameters, found := strings.Cut(address.Path, ";"); found && hasSecret(parameters) {
		return r.omit(name, "it looks like a secret")
	}
	text := address.String()
	switch reason := secretive(text); {
	case reason != "":
		return r.omit(name, reason)
	case len(text) > maxURL || !urlForm().MatchString(text):
		return r.omit(name, want)
	}
	if cut {
		r.omitted = append(r.omitted, "what may be a secret is cut from "+name)
	}
	return text
}

// hasSecret reports whether the query of a URL, or what is written like one, may have a
// secret in it, spelled as it is or with escapes.
func hasSecret(query string) bool {
	plain, err := url.PathUnescape(query)
	return err != nil || secretParameter().MatchString(query) || secretParameter().MatchString(plain) || secretive(plain) != ""
}

// secretParameter matches a query or fragment with a parameter that is named as
// secrets are.
var secretParameter = lazily(`(?i)(^|[&;?/])[^&;=]*(token|secret|passw|pwd|key|sig|auth|cred|session|jwt|code|private)[^&;=]*=`)

// secretForm matches what the tokens of well-known systems look like: those of
// GitHub, GitLab, OpenShift, AWS, Slack, JSON web tokens and private keys.
var secretForm = lazily(`gh[pousr]_[A-Za-z0-9]{20}|github_pat_[A-Za-z0-9_]{20}|gl[a-z]{2,5}-[A-Za-z0-9_-]{20}|sha256~[A-Za-z0-9_-]{20}|A(KI|SI)A[A-Z0-9]{16}|xox[a-z]-[A-Za-z0-9-]{10}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10}|-----BEGIN`)

// userForm matches the user of a URL.
var userForm = lazily(`://[^/?#\s]*@`)

// secretive returns why a text may be a secret; "" if it does not look like one.
func secretive(text string) string {
	if secretForm().MatchString(text) || userForm().MatchString(text) {
		return "it looks like a secret"
	}
	return ""
}

// unprintable returns why a text is none for people, on one line; "" if it is.
func unprintable(text string, most int) string {
	switch {
	case !utf8.ValidString(text):
		return "want UTF-8"
	case strings.ContainsFunc(text, func(r rune) bool { return controls(r) || r == '\n' || r == '\t' }):
		return "want printable text on one line"
	case utf8.RuneCountInString(text) > most:
		return fmt.Sprintf("want at most %d characters", most)
	}
	return ""
}

// hostOf returns the host of a URL that was checked; "" for none.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}
