package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// attack is a row of the table. The attacker can push to the catalog's
// repository and delete there, and has no key.
type attack struct {
	snapshot bool // the victim has a snapshot of all its revisions
	// do attacks, and returns what the words of the table's last column stand
	// for, beside those that every attack has: texts, one a line.
	do       func(v *victim) map[string]string
	requests int             // that one command may make; 0 is 80
	readOnce bool            // and 80 once it was read
	after    func(v *victim) // what must hold once it was tried
}

// ahead is when forged snapshots are dated.
var ahead = testTime.Add(time.Hour)

// farFuture is the latest time that a tag can have.
var farFuture = time.UnixMilli(101559956668415)

var attacks = map[string]attack{
	"snapshot forged": {snapshot: true, do: func(v *victim) map[string]string {
		v.pushSnapshot(ahead, record(crafted{v.v2.tag, v.v1.manifest}), record(crafted{"never.0mm7p6yxl.p0000000000000000", nil}))
		return nil
	}},
	"snapshot forged, v2 deleted": {snapshot: true, do: func(v *victim) map[string]string {
		v.remove(v.v2.tag)
		v.pushSnapshot(ahead, record(crafted{v.v2.tag, v.v1.manifest}), record(crafted{"never.0mm7p6yxl.p0000000000000000", nil}))
		return nil
	}},
	"snapshot newer than ours, v2 deleted": {snapshot: true, do: func(v *victim) map[string]string {
		v.remove(v.v2.tag)
		v.pushSnapshot(ahead, v.recordsBeforeV2()...)
		return nil
	}},
	"snapshot older than ours, v2 deleted": {snapshot: true, do: func(v *victim) map[string]string {
		v.remove(v.v2.tag, v.snapshot)
		v.pushSnapshot(testTime.Add(-time.Second), v.recordsBeforeV2()...)
		return map[string]string{"the snapshot's tag": v.snapshot}
	}},
	"snapshot unreadable, v2 deleted": {snapshot: true, do: func(v *victim) map[string]string {
		v.remove(v.v2.tag)
		garbage := []byte("this is no segment")
		d := ocispec.Descriptor{MediaType: typeSegment, Digest: digest.FromBytes(garbage), Size: int64(len(garbage))}
		if err := v.to.PushBlob(v.t.Context(), d, garbage); err != nil {
			v.t.Fatal(err)
		}
		return map[string]string{"the snapshot's tag": v.pushSnapshotOf(ahead, d)}
	}},
	"snapshot huge": {snapshot: true, do: hugeSnapshot, requests: 1500},
	"snapshot huge, v2 deleted": {snapshot: true, do: func(v *victim) map[string]string {
		v.remove(v.v2.tag)
		// More lines than a reader takes of all snapshots; that they are no
		// records does not matter.
		return map[string]string{"the snapshot's tag": v.pushSnapshot(ahead, bytes.Repeat([]byte("{\"tag\":\"\"}\n"), 300_000))}
	}},
	"snapshot copied from another catalog":              {snapshot: true, do: copiedSnapshot},
	"tag of v2 deleted":                                 {do: func(v *victim) map[string]string { v.remove(v.v2.tag); return nil }},
	"tag of v2 deleted, a snapshot has v2":              {snapshot: true, do: func(v *victim) map[string]string { v.remove(v.v2.tag); return nil }},
	"tag of v2 overwritten":                             {do: overwriteV2},
	"tag of v2 overwritten, a snapshot has v2":          {snapshot: true, do: overwriteV2},
	"tag of v2 hidden from the list":                    {do: hideV2},
	"tag of v2 hidden from the list, a snapshot has v2": {snapshot: true, do: hideV2},
	"later format": {do: func(v *victim) map[string]string {
		at := testTime.Add(time.Second)
		manifest, err := json.Marshal(map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": "application/vnd.caib.catalog.entry.v9+json",
			"config": ocispec.DescriptorEmptyJSON, "layers": []any{},
			"annotations": map[string]string{ocispec.AnnotationTitle: "app", ocispec.AnnotationCreated: stamp(at)},
		})
		if err != nil {
			v.t.Fatal(err)
		}
		v.push(v.to, crafted{publishTag("app", at, digest.FromBytes(manifest)), manifest})
		return nil
	}, after: func(v *victim) {
		code, stdout, _ := v.underPolicy("verify", "--all")
		if code != 7 || !strings.Contains(stdout, "app  verdict: unsigned") {
			v.t.Errorf("verify --all: exit code %d, want 7 and app counted:\n%s", code, stdout)
		}
	}},
	"unsigned publication": {do: func(v *victim) map[string]string {
		v.pushImage("app:3", "3")
		v.must("publish", v.host+"/team/app:3", "--name", "app", "--version", "3")
		return nil
	}},
	"unsigned removal": {do: func(v *victim) map[string]string {
		v.must("remove", "app", "--force")
		return nil
	}},
	"far-future tag": {do: farFutureTags, after: publishesAgain},
	"flood of tags":  {do: flood, requests: floodTags + 80, readOnce: true, after: publishesAgain},
	"squatting": {do: func(v *victim) map[string]string {
		v.pushImage("app:3", "3")
		v.must("publish", v.host+"/team/app:3", "--name", "squat")
		return map[string]string{"entry squat": `entry "squat"`}
	}, after: publishesAgain},
}

// recordsBeforeV2 are those that a snapshot had before app's second version.
func (v *victim) recordsBeforeV2() (records [][]byte) {
	for _, name := range append(v.others, "app") {
		first := v.revisions(name)[0]
		records = append(records, record(first, v.signature(v.to, first)))
	}
	return records
}

func overwriteV2(v *victim) map[string]string {
	v.push(v.to, crafted{v.v2.tag, v.v1.manifest})
	return nil
}

func hideV2(v *victim) map[string]string {
	v.hide(func(tag string) bool { return tag == v.v2.tag }, false)
	return map[string]string{"how many": "1 revision that"}
}

// hugeSnapshot has records of entries that never were: false ones, ones of what
// is no revision, and valid publications that nobody has signed.
func hugeSnapshot(v *victim) map[string]string {
	const each = 300
	var records [][]byte
	for i := range each {
		garbage := fmt.Appendf(nil, "no manifest %d", i)
		named := publishTag(fmt.Sprintf("garbage-%d", i), testTime, digest.FromBytes(garbage))
		records = append(records,
			record(crafted{fmt.Sprintf("false-%d.0mm7p6yxl.p0000000000000000", i), nil}),
			record(crafted{named, garbage}),
			record(v.unsigned(v.catalog, fmt.Sprintf("claim-%d", i), "1", testTime)))
	}
	v.pushSnapshot(ahead, records...)
	return map[string]string{"how many": "records of revisions that were deleted from the registry, or never in it"}
}

// copiedSnapshot copies the snapshot of a catalog of the same owner, which has
// entries that the victim never had, and another version of app.
func copiedSnapshot(v *victim) map[string]string {
	staging := v.host + "/staging/catalog"
	all := []crafted{v.unsigned(staging, "app", "3", testTime.Add(time.Minute))}
	for i := range 7 {
		all = append(all, v.unsigned(staging, fmt.Sprintf("staging-%02d", i), "1", testTime))
	}
	v.pushSnapshot(ahead, v.sign(staging, all...)...)
	return map[string]string{"how many": "that were deleted from the registry, or never in it"}
}

func farFutureTags(v *victim) map[string]string {
	far := v.unsigned(v.catalog, "app", "9", farFuture)
	v.push(v.to, far)
	snapshot := v.pushSnapshotOf(farFuture)
	status := strings.Replace(snapshot, "_snapshot", "_status", 1)
	_, manifest, err := v.to.Manifest(v.t.Context(), snapshot)
	if err != nil {
		v.t.Fatal(err)
	}
	v.push(v.to, crafted{status, manifest})
	return map[string]string{"the tags to delete": strings.Join([]string{far.tag, snapshot, status}, "\n")}
}

// floodTags is how many bogus tags of one name a flood has.
const floodTags = 200

func flood(v *victim) map[string]string {
	var last string
	for i := range floodTags {
		manifest := fmt.Appendf(nil, `{"flood":%d}`, i)
		named := digest.FromBytes(manifest)
		if i%2 > 0 {
			manifest = []byte(`{"flood":"of other bytes"}`)
		}
		last = publishTag("app", testTime.Add(time.Duration(i+1)*time.Minute), named)
		v.push(v.to, crafted{last, manifest})
	}
	return map[string]string{"the tag to delete": last}
}

// underPolicy runs a verb of somebody new who trusts the owner.
func (v *victim) underPolicy(args ...string) (code int, stdout, stderr string) {
	v.t.Helper()
	env := homeEnv(v.t)
	env["CAIB_POLICY"] = v.owner.policy()
	return run(v.t, env, append([]string{"catalog", "--catalog", v.catalog}, args...)...)
}

// publishesAgain: the owner, who has a policy, publishes app again, and whoever
// trusts the owner sees it.
func publishesAgain(v *victim) {
	v.pushImage("app:3", "3")
	code, _, stderr := v.underPolicy("publish", v.host+"/team/app:3", "--name", "app", "--version", "3", "--sign-key", v.owner.key())
	if code != 0 {
		v.t.Errorf("the owner publishes again: exit code %d, want 0\n%s", code, stderr)
	}
	code, stdout, stderr := v.underPolicy("get", "app", "-o", "json")
	if item := read[entry.Item](v.t, stdout); code != 0 || item.Version != "3" || item.Verdict != "verified" {
		v.t.Errorf("after that: exit code %d, version %q, %q, want 0, 3, verified\n%s", code, item.Version, item.Verdict, stderr)
	}
}
