package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/pause"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
)

// trial is one diagnosis of a registry.
type trial struct {
	r       *remoteRepository
	scratch string // the tag, and how the others begin
	asked   *allowance

	findings []Finding
	subject  ocispec.Descriptor // what is under the scratch tag
	fallback bool               // a fallback index was written

	tags      []string // written
	manifests []digest.Digest
	left      []string
}

const (
	scratchType = "application/vnd.caib.catalog.scratch.v1"
	// longest is the longest value that an annotation of a catalog has, and longer
	// one that some registries refuse.
	longest, longer = 256, 1024
	// visible and listedLater bound how often what was written is looked for.
	visible, listedLater = 6, 4
)

func (t *trial) find(feature, support, quirk, handling string) {
	if quirk == "" {
		handling = ""
	}
	t.findings = append(t.findings, Finding{feature, support, quirk, handling})
}

// run asks what a catalog needs, until something of it is missing, and then what
// it can do without.
func (t *trial) run(ctx context.Context) error {
	for _, step := range []struct {
		feature string
		do      func(context.Context) error
	}{
		{"tag list", t.list}, {"blobs", t.blob}, {"manifests", t.tagged}, {"read back", t.readBack}, {"new tags in the list", t.listed},
	} {
		if err := step.do(ctx); err != nil {
			t.find(step.feature, verdict(err), wordsOf(err), "a catalog needs it")
			return err
		}
	}
	for _, step := range []func(context.Context){t.head, t.ranges, t.absentTag, t.unknownSubject, t.referrers, t.annotation, t.pages, t.largePages, t.last} {
		if ctx.Err() != nil {
			return t.r.classify(ctx, "diagnose "+t.r.base, ctx.Err())
		}
		step(ctx)
	}
	return nil
}

func (t *trial) list(ctx context.Context) error {
	_, err := t.r.Tags(ctx)
	if err == nil {
		t.find("tag list", supported, "", "")
	}
	return err
}

// blob writes the one blob that nearly every catalog has. Where it was there, an
// upload is begun and given up.
func (t *trial) blob(ctx context.Context) error {
	before := t.asked.sent
	err := t.r.PushBlob(ctx, ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data)
	if err == nil && t.asked.sent-before < 2 {
		err = t.r.CanPush(ctx)
	}
	if err == nil {
		t.find("blobs", supported, "", "")
	}
	return err
}

// manifest makes a manifest that is not in the repository yet.
func (t *trial) manifest(purpose string, subject *ocispec.Descriptor) (ocispec.Descriptor, []byte) {
	body, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: scratchType,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{ocispec.DescriptorEmptyJSON}, Subject: subject,
		Annotations: map[string]string{ocispec.AnnotationTitle: t.scratch, ocispec.AnnotationDescription: purpose},
	})
	if err != nil {
		panic(err) // it is made of texts
	}
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(body), Size: int64(len(body))}, body
}

// put writes a manifest under a tag, or under its digest where tag is "", and
// returns the answer.
func (t *trial) put(ctx context.Context, descriptor ocispec.Descriptor, body []byte, tag string) (*http.Response, error) {
	reference := tag
	if reference == "" {
		reference = descriptor.Digest.String()
	}
	response, err := t.r.write(ctx, question{
		method: http.MethodPut, path: "manifests/" + reference, body: body, header: http.Header{"Content-Type": {descriptor.MediaType}},
	})
	if err != nil {
		return nil, err
	}
	if tag != "" {
		t.tags = append(t.tags, tag)
	}
	if !slices.Contains(t.manifests, descriptor.Digest) {
		t.manifests = append(t.manifests, descriptor.Digest)
	}
	return response, nil
}

func (t *trial) tagged(ctx context.Context) error {
	descriptor, body := t.manifest(strings.Repeat("x", longest), nil)
	t.subject = descriptor
	response, err := t.put(ctx, descriptor, body, t.scratch)
	if err != nil {
		return t.r.classify(ctx, "push "+t.r.named(t.scratch), err)
	}
	quirk := ""
	if response.StatusCode != http.StatusCreated {
		quirk = fmt.Sprintf("a manifest that is stored is answered by %d", response.StatusCode)
	}
	t.find("manifests", supported, quirk, "any 2xx is success, and what was written is read back")
	return nil
}

// awaits looks for something at most so many times, and returns how long it took to
// be there; 0 is at once.
func (t *trial) awaits(ctx context.Context, times int, look func() (bool, error)) (time.Duration, error) {
	begun := time.Now()
	for attempt := range times {
		if attempt > 0 {
			if err := pause.For(ctx, t.r.backoff<<(attempt-1)); err != nil {
				return 0, err
			}
		}
		there, err := look()
		switch {
		case err != nil && !t.r.isAbsent(err) && status(err) != http.StatusForbidden:
			return 0, err
		case there && attempt == 0:
			return 0, nil
		case there:
			return time.Since(begun), nil
		}
	}
	return 0, fmt.Errorf("%w: what was written is not there after %v", entry.ErrUnreachable, time.Since(begun).Round(time.Millisecond))
}

// delayed says that something was there only some time after it was written.
func delayed(what string, after time.Duration) string {
	if after == 0 {
		return ""
	}
	return fmt.Sprintf("%s up to %v after it was written", what, after.Round(100*time.Millisecond))
}

func (t *trial) readBack(ctx context.Context) error {
	after, err := t.awaits(ctx, visible, func() (bool, error) {
		descriptor, _, err := t.r.manifest(ctx, t.scratch)
		return err == nil && descriptor.Digest == t.subject.Digest, err
	})
	if err == nil {
		t.find("read back", supported, delayed("a tag shows up", after), "what was written is read until it is there, within a bound")
	}
	return t.r.classify(ctx, "fetch "+t.r.named(t.scratch), err)
}

func (t *trial) listed(ctx context.Context) error {
	after, err := t.awaits(ctx, listedLater, func() (bool, error) {
		tags, err := t.r.tags(ctx)
		return slices.Contains(tags, t.scratch), err
	})
	if err == nil {
		t.find("new tags in the list", supported, delayed("the list shows a tag", after), "what a writer knows is kept beside the list")
	}
	return t.r.classify(ctx, "list tags of "+t.r.base, err)
}

func (t *trial) head(ctx context.Context) {
	response, err := t.r.head(ctx, question{path: "manifests/" + t.scratch, header: http.Header{"Accept": {manifestTypes}}})
	quirk := ""
	if err != nil {
		quirk = wordsOf(err)
	} else if _, unclear := described(response, t.scratch); unclear != nil {
		quirk = "its answer does not say what is there"
	}
	t.find("HEAD", verdict(err), quirk, "asked again by GET")
}

func (t *trial) ranges(ctx context.Context) {
	body, from, err := t.r.OpenBlob(ctx, ocispec.DescriptorEmptyJSON, 1)
	switch {
	case err != nil:
		t.find("ranges", verdict(err), wordsOf(err), "a transfer that broke begins anew")
		return
	case from == 0:
		t.find("ranges", unsupported, "no part of a blob can be asked for", "a transfer that broke begins anew")
	default:
		t.find("ranges", supported, "", "")
	}
	body.Close()
}

func (t *trial) absentTag(ctx context.Context) {
	_, _, err := t.r.manifest(ctx, t.scratch+".absent")
	switch {
	case t.r.isAbsent(err):
		t.find("404 for absent tags", supported, "", "")
	case err == nil:
		t.find("404 for absent tags", unsupported, "a tag that nobody wrote has a manifest", "the tag list decides")
	default:
		t.find("404 for absent tags", verdict(err), wordsOf(err), "never taken for absent by itself: the tag list, and what is known to be there, decide")
	}
}

func (t *trial) unknownSubject(ctx context.Context) {
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(t.scratch), Size: 1}
	descriptor, body := t.manifest("refers to nothing", &missing)
	_, err := t.put(ctx, descriptor, body, "")
	quirk := ""
	if err != nil {
		quirk = "a manifest whose subject is not there is refused: " + wordsOf(err)
	}
	t.find("unknown subjects", verdict(err), quirk, "attached is only to images that are there")
}

func (t *trial) annotation(ctx context.Context) {
	descriptor, body := t.manifest(strings.Repeat("x", longer), nil)
	_, err := t.put(ctx, descriptor, body, "")
	quirk := ""
	if err != nil {
		quirk = fmt.Sprintf("annotations of %d characters are refused: %s", longer, wordsOf(err))
	}
	t.find("long annotations", verdict(err), quirk, fmt.Sprintf("no annotation of a catalog is longer than %d", longest))
}

// referrers asks the API for what refers to the scratch manifest, and attaches
// something to it.
func (t *trial) referrers(ctx context.Context) {
	const feature = "Referrers API"
	descriptor, body := t.manifest("refers to it", &t.subject)
	list, quirk, err := t.referrersAPI(ctx)
	if err != nil {
		t.find(feature, verdict(err), wordsOf(err), "signatures and attachments beside images are not found")
		return
	}
	t.manifests = append(t.manifests, descriptor.Digest)
	if list.fallback {
		t.fallback = true
		t.tags = append(t.tags, t.r.ownTag(ctx, descriptor.Digest))
	}
	if err := t.r.pushReferrer(ctx, descriptor, body, t.subject); err != nil {
		t.find(feature, unknown, "nothing could be attached: "+wordsOf(err), "an attachment is left out, and said to be")
		return
	}
	support, handling := supported, "the body of the answer decides what it is"
	if list.fallback {
		support, handling = unsupported, "what refers to an image is listed under its fallback tag"
	}
	t.find(feature, support, quirk, handling)
}

func (t *trial) referrersAPI(ctx context.Context) (list referrerList, quirk string, err error) {
	header, _, asked := t.r.get(ctx, question{path: "referrers/" + t.subject.Digest.String(), header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}}})
	list, err = t.r.listToWriter(ctx, t.subject)
	switch {
	case err != nil:
		return list, "", err
	case !list.fallback && header != nil && header.Get("Content-Type") != ocispec.MediaTypeImageIndex:
		return list, printable(fmt.Sprintf("its answers are %q", header.Get("Content-Type"))), nil
	case !list.fallback:
		return list, "", nil
	case asked == nil:
		return list, "it answers now and then", nil
	}
	quirk = "there is none: " + wordsOf(asked)
	if found, err := t.r.resolve(ctx, referrertag.Index(t.subject.Digest)); err == nil && found.Digest == t.subject.Digest {
		quirk += "; the fallback tag leads to the image itself"
	}
	return list, quirk, nil
}
