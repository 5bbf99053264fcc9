package catalog

// WriteLocations is what copies write.
var WriteLocations = (*Catalog).writeLocations
