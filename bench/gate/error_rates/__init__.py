"""How often is the gate wrong? Its rule and other tools' rules, replayed on stored rounds."""
