package entry

// Outline is as much of an entry as queries read: what a program keeps in memory
// that answers queries about many of them.
type Outline struct {
	Name          string
	Catalog       string
	Phase         Phase
	Distro        string
	Schedule      string
	Architectures []string // all of them, in the order of the image's index
	Targets       []string // in lower case
	Tags          []string
	Labels        map[string]string
	Verdict       Verdict
	CreatedAt     Time
	SizeBytes     int64
}

// Outline returns the item's outline. Its tags and labels are the item's:
// read-only.
func (i *Item) Outline() Outline {
	o := Outline{
		Name: i.Name, Catalog: i.Catalog, Phase: i.Phase, Distro: i.Distro, Schedule: i.ScheduleName,
		Architectures: i.Architectures(), Tags: i.Tags, Labels: i.Labels, Verdict: i.Verdict,
		CreatedAt: i.CreatedAt, SizeBytes: i.SizeBytes,
	}
	for _, target := range i.Targets {
		o.Targets = append(o.Targets, foldTarget(target.Name))
	}
	return o
}
