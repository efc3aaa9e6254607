"""What the tests share: applications, clients, cases, projects. No test is here."""
