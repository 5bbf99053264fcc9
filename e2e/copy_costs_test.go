package e2e

import (
	"regexp"
	"strings"
)

// revisionTag is a request for a revision by its tag.
var revisionTag = regexp.MustCompile(`/manifests/[a-z0-9][-a-z0-9.]*\.[0-9a-z]{9}\.[pr][0-9a-f]{16}$`)

const (
	logRequests = 20 // to a source for its log, whatever it holds, beside the tail
	longestTail = 32 // of revisions that no snapshot covers
	ofRevision  = 1
	ofSignature = 3 // where it has one: a list, and the two that it names
)

// costs copies a catalog without its images, and counts what its registry is asked;
// then it copies the copy, all of which its snapshot covers.
func (s *source) costs() {
	s.t.Helper()
	from, w := s.of, s.world
	for n := range 2 {
		to := newCounted(s.t, "ggcr")
		from.taken()
		result := w.copyTo(to.address+"/mirror/catalog", "--no-images")
		requests, _ := from.taken()
		tail := 0
		for _, request := range requests {
			if revisionTag.MatchString(request) {
				tail++
			}
		}
		s.t.Logf("the log of %d revisions costs %d requests, for %d that no snapshot covers", result.Revisions.Copied, len(requests), tail)
		if len(requests) > logRequests+tail*(ofRevision+ofSignature) || tail > longestTail || n > 0 && tail > 0 {
			s.t.Errorf("%s\nwant at most %d beside those for the tail", strings.Join(requests, "\n"), logRequests)
		}
		from, w = to, newWorld(s.t, target{catalog: to.address + "/mirror/catalog"})
	}
}

// again publishes some more and copies them too: nothing is sent that was sent before.
func (s *source) again(to *counted, catalog string, from, count int) {
	s.t.Helper()
	first, sentFirst := to.taken()
	s.fill(from, from+count)
	s.of.taken()
	result := s.copyTo(catalog)
	second, sent := to.taken()
	asked, _ := s.of.taken()
	s.t.Logf("%d of %d entries more: %+v, %d bytes sent, %d requests to the source and %d to the destination; before, %d bytes and %d requests",
		count, from+count, result, sent, len(asked), len(second), sentFirst, len(first))
	before := blobsOf(first)
	for blob := range blobsOf(second) {
		if before[blob] {
			s.t.Errorf("%s was sent before", blob)
		}
	}
	if result.Images.Copied != count*(entryKinds+1)/entryKinds || sent > 3*sentFirst*int64(count)/int64(from) {
		s.t.Errorf("%d images and %d bytes, want %d images, and of the %d bytes of all the part that is theirs", result.Images.Copied, sent, count, sentFirst)
	}
}

// blobsOf are the blobs that requests upload, and where.
func blobsOf(requests []string) map[string]bool {
	all := map[string]bool{}
	for _, request := range requests {
		repository, upload, uploads := strings.Cut(request, "/blobs/uploads/")
		if _, digest, ok := strings.Cut(upload, "?digest="); uploads && ok {
			_, path, _ := strings.Cut(repository, " ")
			all[path+" "+digest] = true
		}
	}
	return all
}
