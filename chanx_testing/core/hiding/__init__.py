"""What is a secret, and how it is hidden from whoever reads a failure or a log.

A secret is known by its name (the value of ``password``), by its value (a JWT, a token
that a login of this process has issued), or because the project says so. Consumers hide
what they log, too, so this is used in production.

To hide too much costs a look at the code, to hide too little a secret.
"""
