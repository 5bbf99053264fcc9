package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/schema"
)

// buildResult is what became of one build of a file.
type buildResult struct {
	Build string `json:"build"`
	*catalog.PublishResult
	Error *problem `json:"error,omitempty"`
}

// publishFile publishes every build of a file. One that cannot be published
// does not stop the others, and does not go unsaid either.
func (o *publishOptions) publishFile(ctx context.Context) error {
	builds, err := o.readBuilds()
	if err != nil {
		return err
	}
	if err := o.fitAll(builds); err != nil {
		return err
	}
	c, err := o.writer(ctx)
	if err != nil {
		return err
	}
	results := make([]buildResult, len(builds))
	var failed []error
	w := o.newWaiting()
	for i, build := range builds {
		result, err := publishBuild(ctx, c, build, w.options(o.options))
		w.clear()
		o.warnOfPublication(result)
		results[i] = buildResult{Build: build.Name, PublishResult: &result}
		if err != nil {
			err = o.buildHint(err)
			failed = append(failed, err)
			results[i].PublishResult, results[i].Error = nil, newProblem(err)
		}
		o.printBuild(results[i])
		if err != nil && len(builds) > 1 && !o.structured() {
			o.printError(err)
		}
	}
	if o.structured() {
		if err := o.document(o.settings.output, map[string]any{"items": results}); err != nil {
			return err
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(builds) == 1:
		return failed[0]
	}
	return &partialError{text: fmt.Sprintf("%d of %d builds not published", len(failed), len(builds)), causes: failed}
}

// fitAll refuses flags that several builds cannot share: each image has a digest of its
// own, and each version of an entry a name of its own.
func (o *publishOptions) fitAll(builds []catalog.Build) error {
	refused := func(format string, args ...any) error {
		return withHint(fmt.Errorf("%w: "+format, append([]any{entry.ErrInvalid}, args...)...), "publish them one by one, each from a file of its own")
	}
	if len(builds) > 1 && o.digest != "" {
		return refused("--digest is for one build, and %s holds %d", o.file, len(builds))
	}
	type seen struct{ series, position string }
	last, places := map[string]seen{}, map[string]string{}
	for _, build := range builds {
		// A name that is none is refused for its build.
		name, _ := build.EntryName()
		series := cmp.Or(name, "the image "+build.Container+build.Disk)
		name = cmp.Or(o.options.Name, name, build.Name)
		if at := places[name+" "+build.Name]; at != "" {
			return refused("%s: build %q is there twice, at %s too", build.Position, build.Name, at)
		}
		places[name+" "+build.Name] = build.Position
		other, several := last[name]
		last[name] = seen{series, build.Position}
		switch {
		case !several:
		case other.series != series:
			return refused("--name %s is for one build or the versions of one entry, and those at %s and %s are of different ones", name, other.position, build.Position)
		case o.options.Version != "":
			return refused("--version is for one build, and those at %s and %s are versions of %s", other.position, build.Position, name)
		}
	}
	return nil
}

// buildHint says what to do about a build that could not be published.
func (o *publishOptions) buildHint(err error) error {
	if errors.Is(err, entry.ErrDigest) && o.digest == "" {
		return withHint(err, "--override publishes what the reference names now, and records that it is not what the build made; a tag for each build keeps them apart")
	}
	var invalid *entry.ValidationError
	if errors.As(err, &invalid) && o.options.Version == "" && slices.ContainsFunc(invalid.Problems, func(p schema.Problem) bool { return p.Pointer == "/version" }) {
		return withHint(err, "the version is the name of the build, unless another one is given with --version")
	}
	return publishHint(err)
}

// structured tells the formats that show everything in one document.
func (a *app) structured() bool {
	return a.settings.output == "json" || a.settings.output == "yaml"
}

// printBuild tells people about one build as soon as it is published.
func (o *publishOptions) printBuild(result buildResult) {
	switch {
	case result.PublishResult == nil || o.structured():
	case o.settings.output == "name":
		fmt.Fprintln(o.system.Out, result.Item.Name)
	default:
		o.outcome(*result.PublishResult)
	}
}

// partialError is an error whose causes were reported one by one; they decide the
// exit code.
type partialError struct {
	text   string
	causes []error
}

func (p *partialError) Error() string   { return p.text }
func (p *partialError) Unwrap() []error { return p.causes }

func (o *publishOptions) readBuilds() ([]catalog.Build, error) {
	name, from := o.file, o.system.In
	if name == "-" {
		name = "standard input"
	} else {
		file, err := os.Open(o.file)
		if err != nil {
			return nil, fmt.Errorf("%w: -f: %v", entry.ErrInvalid, err)
		}
		defer file.Close()
		from = file
	}
	return catalog.ReadBuilds(from, name)
}

// publishBuild publishes what an ImageBuild made.
func publishBuild(ctx context.Context, c writer, build catalog.Build, options catalog.PublishOptions) (catalog.PublishResult, error) {
	image, options, err := catalog.FromBuild(build, options)
	if err != nil {
		return catalog.PublishResult{}, err
	}
	result, err := c.Publish(ctx, image, options)
	if err != nil {
		err = fmt.Errorf("%s: build %q: %w", build.Position, build.Name, err)
	}
	return result, err
}
