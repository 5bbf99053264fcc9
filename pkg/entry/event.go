package entry

// Event is one revision as `history` shows it.
type Event struct {
	Name        string `json:"name"`
	At          Time   `json:"at"`
	Operation   string `json:"operation"` // publish or remove
	Version     string `json:"version,omitempty"`
	By          string `json:"by,omitempty"`
	Image       string `json:"image,omitempty"`
	ImageDigest string `json:"imageDigest,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Ends        string `json:"ends,omitempty"`    // the revision that a removal ends
	Revision    string `json:"revision"`          // manifest digest of this revision
	Tag         string `json:"tag"`               // where it stands in the catalog's repository
	Verdict     string `json:"verdict,omitempty"` // empty: signatures were not checked
	Format      string `json:"format,omitempty"`  // set when a later format version hides the rest
	Catalog     string `json:"catalog,omitempty"` // set when several catalogs are read together
}

// NewEvent shows a revision.
func NewEvent(r *Revision) Event {
	event := Event{
		Name: r.Tag.Name, At: r.Tag.Time(), Operation: r.Tag.Op.String(),
		Revision: r.Digest.String(), Tag: r.Tag.String(), Format: r.Newer,
	}
	if d := r.Document; d != nil {
		event.Version, event.By = d.Version, d.PublishedBy
		event.Image, event.ImageDigest = d.Image.Reference, d.Image.Digest.String()
	}
	if m := r.Removal; m != nil {
		event.By, event.Reason, event.Ends = m.RemovedBy, m.Reason, m.Revision.String()
	}
	return event
}
