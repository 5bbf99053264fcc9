package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
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
	if len(builds) > 1 && (o.options.Name != "" || o.digest != "") {
		return fmt.Errorf("%w: --name and --digest are for one build, and %s holds %d", entry.ErrInvalid, o.file, len(builds))
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
			err = publishHint(err)
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
