package catalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/trust"
)

// What only an attachment tells of is verified by the signatures beside it, and by
// those of this catalog; what these do not prove is unknown, with the reason. The rule
// is that of the catalog which the signed document names.
func TestAttachmentsAreEvaluated(t *testing.T) {
	build := team(t)
	key := []*trust.PublicKey{build.Signer.PublicKey()}
	const theirs = "/their/catalog"
	for name, tt := range map[string]struct {
		sign    *catalog.Signing
		rule    trust.Rule
		catalog string // that its image was published in
		change  func(w *world, image string)
		want    entry.Verdict
		reason  string
	}{
		"signed":                 {build, trust.Rule{Keys: key}, theirs, nil, entry.VerdictVerified, "whether it is still live only its catalog knows"},
		"not signed":             {nil, trust.Rule{Keys: key}, theirs, nil, entry.VerdictUnknown, "no signatures are beside it"},
		"signed by others":       {team(t), trust.Rule{Keys: key}, theirs, nil, entry.VerdictUnknown, "signed with none of the keys"},
		"a rule of this catalog": {build, trust.Rule{Keys: key, Catalog: "*/team/*"}, theirs, nil, entry.VerdictUnknown, "no rule of the policy"},
		"a rule of its catalog":  {build, trust.Rule{Keys: key, Catalog: "*/their/*"}, theirs, nil, entry.VerdictVerified, ""},
		"another origin":         {build, trust.Rule{Keys: key, Origins: []string{"*/team/*"}}, theirs, nil, entry.VerdictUntrusted, "which the rule does not name"},
		"only the image":         {build, trust.Rule{Keys: key, Require: []trust.Subject{trust.SubjectImage}}, theirs, nil, entry.VerdictUnknown, "no signature of the entry"},
		"the image too":          {build, trust.Rule{Keys: key, Require: []trust.Subject{trust.SubjectEntry, trust.SubjectImage}}, theirs, nil, entry.VerdictUnknown, "image"},
		"among others' rubbish":  {build, trust.Rule{Keys: key}, theirs, (*world).litter, entry.VerdictVerified, ""},
		"gone from this catalog": {build, trust.Rule{Keys: key}, "/team/catalog", (*world).dropLog, entry.VerdictVerified, "the log of this catalog does not have it"},
		"unsigned, and gone":     {nil, trust.Rule{Keys: key}, "/team/catalog", (*world).dropLog, entry.VerdictUnsigned, "it has no signature"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true, nil)
			image := w.push("os/app", "1", "1")
			from, err := catalog.Open(w.host+tt.catalog, catalog.Options{Registry: w.newClient(), CacheDir: t.TempDir(), Recheck: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			w.publish(from, image, catalog.PublishOptions{Sign: tt.sign})
			if tt.change != nil {
				tt.change(w, image)
			}
			policy, err := trust.NewPolicy(nil, nil, &tt.rule)
			if err != nil {
				t.Fatal(err)
			}
			asked := w.counter.during(func() {
				found, err := w.fresh(catalog.Options{Policy: policy}).GetImage(t.Context(), image)
				if err != nil || len(found.Attached) != 1 || len(found.Items) > 0 {
					t.Fatalf("%+v, %v; want one attachment", found, err)
				}
				item := found.Attached[0]
				if item.Verdict != tt.want || !strings.Contains(item.StatusMessage, tt.reason) || !strings.HasPrefix(item.StatusMessage, "an attachment of the image says so: ") {
					t.Errorf("%s: %q, want %s: %q", item.Verdict, item.StatusMessage, tt.want, tt.reason)
				}
				if tt.want == entry.VerdictVerified && len(item.Signers) == 0 {
					t.Error("what is verified has no signers")
				}
			})
			for _, request := range asked {
				if strings.Contains(request, theirs) {
					t.Errorf("the catalog that the attachment names was asked: %s", request)
				}
			}
		})
	}
}

// litter puts signatures of strangers beside each attachment of an image.
func (w *world) litter(image string) {
	w.t.Helper()
	rev, _, _ := w.besideImage(image)
	repository, subject := w.openImage(image)
	var rubbish []jsontext.Value
	for range signature.MaxSignatures + 1 {
		rubbish = append(rubbish, jsontext.Value(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`))
	}
	packed, err := revision.PackSignatures(rev, rubbish, subject)
	if err == nil {
		err = repository.PushReferrer(w.t.Context(), packed.Descriptor, packed.Manifest, subject)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// dropLog deletes all tags of the catalog that are revisions.
func (w *world) dropLog(string) {
	w.t.Helper()
	tags, err := w.catalogRepository().Tags(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, tag := range tags {
		if _, ok := revision.ParseTag(tag); ok {
			w.remove(tag)
		}
	}
}
