"""What the page's sections are made of: sections, chart specifications, labels at points."""
