"""``manage.py test``, as Django has it, on loops that can be asked whether they rest."""
