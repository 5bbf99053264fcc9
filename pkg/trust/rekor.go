package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	"github.com/sigstore/rekor/pkg/generated/models"
	sigroot "github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/oci-catalog/caib/pkg/entry"
)

// log is a client of a transparency log. sigstore's own make their connections
// themselves.
func (s *services) log(ctx context.Context, at sigroot.Service) *sign.Rekor {
	client := serviceClient(ctx, s.transport, "transparency log", http.StatusOK, http.StatusCreated, http.StatusConflict)
	base := strings.TrimSuffix(at.URL, "/")
	options := &sign.RekorOptions{BaseURL: base, Version: at.MajorAPIVersion, Timeout: -1}
	if at.MajorAPIVersion == 1 {
		parsed, _ := url.Parse(base + "/") // as pick has parsed it
		options.Client = rekor1{entries.New(httptransport.NewWithClient(parsed.Host, parsed.Path, []string{parsed.Scheme}, client), strfmt.Default)}
	} else {
		options.ClientV2 = rekor2{base, client}
	}
	return sign.NewRekor(options)
}

// rekor1 is a log of version 1, whose answers are complete: the package that
// reads them counts on it.
type rekor1 struct{ client entries.ClientService }

func (r rekor1) CreateLogEntry(params *entries.CreateLogEntryParams, options ...entries.ClientOption) (*entries.CreateLogEntryCreated, error) {
	created, err := r.client.CreateLogEntry(params, options...)
	if err != nil {
		return nil, err
	}
	if err := complete(created.Payload); err != nil {
		return nil, err
	}
	for id := range created.Payload {
		created.ETag = id
	}
	return created, nil
}

func (r rekor1) GetLogEntryByUUID(params *entries.GetLogEntryByUUIDParams, options ...entries.ClientOption) (*entries.GetLogEntryByUUIDOK, error) {
	found, err := r.client.GetLogEntryByUUID(params, options...)
	if err != nil {
		return nil, err
	}
	return found, complete(found.Payload)
}

func complete(answer models.LogEntry) error {
	if len(answer) != 1 {
		return fmt.Errorf("%d log entries in an answer, want one", len(answer))
	}
	for _, e := range answer {
		if err := e.Validate(strfmt.Default); err != nil {
			return err
		}
		if e.Verification == nil || e.Verification.InclusionProof == nil {
			return errors.New("a log entry without proof")
		}
	}
	return nil
}

// rekor2 is a log of version 2.
type rekor2 struct {
	base   string
	client *http.Client
}

func (r rekor2) Add(ctx context.Context, proposed any) (*protorekor.TransparencyLogEntry, error) {
	hashed, ok := proposed.(*rekortiles.HashedRekordRequestV002)
	if !ok {
		return nil, fmt.Errorf("an entry of type %T cannot be proposed", proposed)
	}
	body, err := protojson.Marshal(&rekortiles.CreateEntryRequest{Spec: &rekortiles.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: hashed}})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+"/api/v2/log/entries", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body) // in memory
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusConflict {
		return nil, &url.Error{Err: fmt.Errorf("transparency log %s: %w: it holds this entry already", host(r.base), entry.ErrConflict)}
	}
	made := &protorekor.TransparencyLogEntry{}
	return made, protojson.Unmarshal(answer, made)
}
