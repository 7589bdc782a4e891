"""Teachers, students and how the one learns from the other. Needs torch; imported only by what trains or exports."""
